"""Free loopback ports, and waiting until something answers on one."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"
_given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nothing listens on, never the same one twice in a run."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def listens(port: int) -> bool:
    """Return whether something accepts connections on the loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def wait_until(
    true: Callable[[], bool], what: str, seconds: float = 30, still: Callable[[], bool] = lambda: True
) -> None:
    """Return when `true()` holds, asked every 20 ms.

    Raises:
        TimeoutError: it did not within `seconds`.
        RuntimeError: `still()` (is the server alive?) ceased to hold first.
    """
    end = time.monotonic() + seconds
    while not true():
        if not still():
            raise RuntimeError(f"{what}: the process ended instead")
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        select.select([], [], [], 0.02)
