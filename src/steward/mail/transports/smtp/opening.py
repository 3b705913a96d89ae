"""Connections that are being opened: how long each has waited to be greeted, and how all begin anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from steward.mail.transports.smtp.connect import SmtpSession


class SmtpConnector:
    """What one transport opens; `connect` opens a connection, and may take the minutes that a greeting may take."""

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, SmtpSession]]) -> None:
        self._connect = connect
        self._since: dict[asyncio.Task[SmtpSession], float] = {}
        self._told: set[asyncio.Task[SmtpSession]] = set()

    async def one(self) -> SmtpSession:
        """Return a new connection. Raises `ConnectFailed`."""
        while True:
            opening = asyncio.get_running_loop().create_task(self._connect())
            self._since[opening] = time.monotonic()
            try:
                await asyncio.wait([opening])
            finally:
                opening.cancel()
                del self._since[opening]
                self._told.discard(opening)
            if not opening.cancelled():  # else it was given up for a new one, see `anew`
                return opening.result()

    def silent(self, seconds: float) -> int:
        """Return how many have waited for longer than that, each counted once. From any thread."""
        before = time.monotonic() - seconds
        late = {opening for opening, since in list(self._since.items()) if since < before} - self._told
        self._told |= late
        return len(late)

    def anew(self) -> None:
        """Begin all anew."""
        for opening in self._since:
            opening.cancel()
