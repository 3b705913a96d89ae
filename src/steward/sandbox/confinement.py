"""What a child process gives up before it works: its life without the parent, the network, memory beyond its share.

None of it needs root. It bounds mistakes and hostile documents; it is no prison for hostile Python code, which could
still read the files that this user may read.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
import platform
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

MB: Final = 1 << 20
LARGEST_FILE: Final = 2048 * MB
LAST_WORDS: Final = b"out of memory, even for saying so\n"

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
# Machine: its AUDIT_ARCH constant (linux/audit.h), its number of socket(2); io_uring_setup(2) is 425 on both.
_MACHINES: Final = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP: Final = 425


def die_with(parent: int) -> None:
    """Make the kernel kill this process when the parent's thread that started it ends; end now if it is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def leave_signals_to_parent() -> None:
    """Ignore what a terminal or a supervisor sends to everyone: the parent decides when a child stops.

    By a function that does nothing, not SIG_IGN, which the programs that a handler starts would inherit.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)


def bound_files() -> None:
    """Write no core dump (it would hold personal data) and no file over 2 GiB."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    most = LARGEST_FILE if most == resource.RLIM_INFINITY else min(most, LARGEST_FILE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def leave_network() -> None:
    """Make every new connection impossible, here and in programs that this process starts.

    Two layers: a seccomp filter lets the kernel refuse socket(2) and io_uring (Linux on x86-64 and arm64, also in
    containers that forbid namespaces); an audit hook refuses earlier and in words, and is all there is on other
    machines, where native code could pass it. Pairs of already connected sockets stay possible: event loops need them.
    """
    _refuse_sockets_in_kernel()
    sys.addaudithook(_refuse_sockets)


def bound_memory(memory_mb: int) -> None:
    """Let this process grow to `memory_mb` MiB of resident memory in all, from its present size.

    RLIMIT_DATA counts what is private and writable (since Linux 4.7). RLIMIT_AS would also count mapped fonts and
    libraries and reserved, never touched, thread arenas: over a render it stands 100 MB above the truth (measured).
    The resident part of mapped files is subtracted, so that the sum stays within the limit.
    """
    soft = max(MB, memory_mb * MB - resident_files())
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.RLIM_INFINITY))


def unbound_memory() -> None:
    """Lift the limit of memory, to have room for saying that it was reached."""
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def bound_processor(seconds: float) -> None:
    """Let the kernel stop this process (SIGXCPU) after `seconds` more of processor time."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def resident_files() -> int:
    """Return how many bytes of mapped files (libraries, fonts) this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[2]) * resource.getpagesize()


def resident() -> int:
    """Return how many bytes this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _prctl(option: int, *arguments: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(option, *(ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4])) == 0)


def _refuse_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.__new__":
        if arguments[1] in (socket.AF_UNIX, -1):
            return
    elif event not in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto"):
        return
    raise PermissionError(f"this process may not use the network ({event})")


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))


def _refuse_sockets_in_kernel() -> None:
    if platform.machine() not in _MACHINES or not sys.platform.startswith("linux"):
        return
    arch, socket_number = _MACHINES[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06  # classic BPF: ld abs, jeq, jge, ret (linux/bpf_common.h)
    refuse, allow = 0x00050000 | 13, 0x7FFF0000  # SECCOMP_RET_ERRNO with EACCES, SECCOMP_RET_ALLOW
    program = b"".join(
        struct.pack("HBBI", *line)
        for line in (
            (load, 0, 0, 4),  # seccomp_data.arch
            (equal, 0, 4, arch),  # another architecture's calls: refuse
            (load, 0, 0, 0),  # seccomp_data.nr
            (at_least, 2, 0, 0x40000000),  # the x32 interface: refuse
            (equal, 1, 0, socket_number),
            (equal, 0, 1, _IO_URING_SETUP),
            (give, 0, 0, refuse),
            (give, 0, 0, allow),
        )
    )
    filter_ = _Filter(8, program)
    address = ctypes.addressof(filter_)
    if not (_prctl(_PR_SET_NO_NEW_PRIVS, 1) and _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, address)):
        log.warning("the kernel takes no seccomp filter: only Python code is kept from the network")
