"""Wakes the dispatchers of this machine: one loopback datagram. The dispatcher's slow poll is the safety net."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable


class WakeupSender:
    """Sends to every port that `ports` names; asked again every few seconds."""

    def __init__(self, ports: Callable[[], list[int]], refresh: float = 2.0) -> None:
        self._ports, self._refresh = ports, refresh
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._known: list[int] = []
        self._asked = 0.0
        self._lock = threading.Lock()

    def send(self) -> None:
        """Wake the dispatchers; says nothing of failure, for nothing depends on it."""
        with self._lock:
            if time.monotonic() - self._asked > self._refresh:
                with contextlib.suppress(Exception):
                    self._known = self._ports()
                self._asked = time.monotonic()
            ports = self._known
        for port in ports:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"\x01", ("127.0.0.1", port))


class WakeupReceiver:
    """Waits for a nudge, or for a moment."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def wait(self, seconds: float) -> bool:
        """Return whether a nudge came within `seconds`; several that came together count as one."""
        self._socket.settimeout(max(seconds, 0.001))
        try:
            self._socket.recv(8)
        except (TimeoutError, OSError):
            return False
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                self._socket.recv(8)
        return True

    def wake(self) -> None:
        """End a wait in another thread."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\x00", ("127.0.0.1", self.port))

    def close(self) -> None:
        """Free the port."""
        self._socket.close()
