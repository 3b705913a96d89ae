"""One server process: bound to this one's life, logged to a file, stopped with all its children."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
# The kernel sends the death signal when the *thread* that forked ends, so one thread forks for everybody and stays.
_nursery = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-nursery")
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/rabbitmq/bin")


def find_program(name: str, package: str, folders: Sequence[str | Path] = SYSTEM_FOLDERS) -> str:
    """Return the full path of a program; fail the test, in words, where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        pytest.fail(f"{name} is not installed. Type: sudo apt-get install {package}", pytrace=False)
    return found


def unprivileged_user() -> str | None:
    """Return who shall run a server that refuses to run as root; None where this is not root anyway."""
    if os.geteuid() != 0:
        return None
    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


def group_of(user: str | None) -> int | None:
    """Return the number of a user's own group."""
    return None if user is None else pwd.getpwnam(user).pw_gid


class ServerProcess:
    """Starts `command`; it dies by `death` when this process does, however that ends."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        death: signal.Signals = signal.SIGKILL,
        cwd: Path | None = None,
    ) -> None:
        self.command, self.log = list(command), log
        self._env = dict(env) if env is not None else None
        self._user, self._death, self._cwd = user, death, cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; also that of its group."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; its output is added to the log."""
        self._process = _nursery.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        def bind_to_parent() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(self._death))

        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                user=self._user,
                group=group_of(self._user),
                extra_groups=[] if self._user else None,
                start_new_session=True,
                preexec_fn=bind_to_parent,
            )

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, seconds: float = 15) -> None:
        """Ask it to end, and end it and every child for certain after `seconds`."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(with_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once (SIGKILL), as a power cut would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def words(self) -> str:
        """Return the end of the log, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""
