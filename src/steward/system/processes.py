"""What the kernel says of processes (proc(5)): when one was started, whether it moves, and who holds a file's lock."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
# Where SQLite keeps its locks (sqlite.org/walformat.html, section 2.3.1; sqlite.org/fileformat2.html, section 1.6):
# the writer's byte of the -shm file, the recoverer's, and the lock page of the database itself.
_WRITING: Final = (120, 122)
_DATABASE: Final = 0x40000000


def born(pid: int) -> int | None:
    """Return when `pid` was started, in clock ticks since the machine's start, or None if there is no such process."""
    fields = _fields(pid)
    return int(fields[19]) if fields else None


def parent(pid: int) -> int | None:
    """Return the parent of `pid`, or None if there is no such process."""
    fields = _fields(pid)
    return int(fields[1]) if fields else None


def spent(pid: int) -> tuple[str, int]:
    """Return the state of `pid` ("T" if it is stopped) and how many clock ticks of processor time it has had."""
    fields = _fields(pid)
    return (fields[0], int(fields[11]) + int(fields[12])) if fields else ("", 0)


def name(pid: int) -> str:
    """Return what `pid` calls itself, or nothing."""
    try:
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def writers(database: Path) -> list[int]:
    """Return the processes that hold the write lock of a SQLite database in WAL mode: one, or none.

    Those that cannot be seen from here (another container's) are left out. Nothing is opened: a process that closes a
    file gives up its own locks on it (fcntl(2)).
    """
    files = {}
    for path, spans in ((Path(f"{database}-shm"), _WRITING), (database, (_DATABASE, _DATABASE + 511))):
        try:
            found = path.stat()
        except OSError:
            continue
        files[f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"] = spans
    try:
        lines = (_PROC / "locks").read_text().splitlines()
    except OSError:
        return []
    pids = set()
    for line in lines:
        words = [word for word in line.split() if word != "->"]
        if len(words) < 8 or words[1] not in ("POSIX", "OFDLCK") or words[3] != "WRITE" or "->" in line:
            continue
        span = files.get(words[5])
        last = words[7]
        if span and int(words[6]) <= span[1] and (last == "EOF" or int(last) >= span[0]) and int(words[4]) > 0:
            pids.add(int(words[4]))
    return sorted(pids)


def end(pid: int, since: int) -> bool:
    """Kill the process `pid` that was `born` at `since`, and return whether it was there. Raises PermissionError."""
    try:
        handle = os.pidfd_open(pid)  # from here on the number cannot become another's
    except ProcessLookupError:
        return False
    try:
        if born(pid) != since:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat from the third on: the second, the name, may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().decode(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
