"""What we call ourselves in EHLO: the name that is set, the machine's full name, or our address on the line."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from typing import Any, Final

LOOPBACK: Final = "[127.0.0.1]"
PATIENCE: Final = 2.0
"""Seconds that the first connection waits for the machine's name: it may have to be asked for over the network."""
_FULL: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.I
)
_NOBODY: Final = ("localhost", ".localdomain", ".arpa")


class SmtpHeloName:
    """The name for every connection of a transport. Looking for the machine's own never blocks a start, nor a stop."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._found = threading.Event()
        if name:
            self._found.set()
        else:
            threading.Thread(target=self._look, name="host name", daemon=True).start()

    async def name(self, socket_name: Any) -> str:
        """Return what to say on a line whose own end is `socket_name`."""
        if not self._found.is_set():
            end = asyncio.get_running_loop().time() + PATIENCE
            while not self._found.is_set() and asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.01)
            self._found.set()  # it is waited for once; should it still come, it is used from then on
        return self._name or literal(socket_name)

    def _look(self) -> None:
        self._name = self._name or full_name()
        self._found.set()


def full_name() -> str:
    """Return the full name of this machine, or an empty text where it has none. It may ask a name server."""
    for find in (socket.gethostname, socket.getfqdn):
        try:
            name = find().rstrip(".").lower()
        except (OSError, UnicodeError):
            continue
        if is_full(name) and not name.startswith(_NOBODY[0]) and not name.endswith(_NOBODY[1:]):
            return name
    return ""


def is_full(name: str) -> bool:
    """Return whether `name` is that of a host, with its domain (RFC 5321, section 2.3.5)."""
    return _FULL.fullmatch(name) is not None


def literal(socket_name: Any) -> str:
    """Return our own end of the line as an address literal (RFC 5321, section 4.1.3): always right, and asks nobody."""
    try:
        ours = ipaddress.ip_address(str(socket_name[0]).partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return LOOPBACK
    return f"[IPv6:{ours}]" if ours.version == 6 else f"[{ours}]"
