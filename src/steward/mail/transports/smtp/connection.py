"""One open line to a mail server: commands out, replies in, in order; several commands may go out in one write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from steward.system.masking import masked

LONGEST_REPLY = 64 * 1024
TICK: Final = 1.0
"""Seconds between looks at the clock while a reply is awaited: a timer for each reply costs more than the reply."""
_LINE: Final = re.compile(rb"([0-9]{3})(?:([ -])(.*?))?\r*", re.DOTALL)


_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def words(said: bytes | str) -> str:
    """Return what a server said as text that can be stored, shown and logged, whatever its bytes were.

    What is no UTF-8 becomes U+FFFD, control characters become a blank. aiosmtplib hands undecodable bytes over as lone
    surrogates, which nothing can write. A server that repeats what we sent repeats no password.
    """
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else _SURROGATES.sub("\ufffd", said)
    return masked(_CONTROLS.sub(" ", text).strip())


class ConnectionLost(ConnectionError):
    """The connection ended, or what came over it was no SMTP."""


class SmtpReply(NamedTuple):
    """A complete reply (RFC 5321, section 4.2), with its lines as they came."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """Its words; see `words`. Made when they are wanted: of most replies only the code is."""
        return " ".join(map(words, self.lines))


class SmtpConnection(asyncio.Protocol):
    """Takes over a transport after the connection is set up. Used by one sender at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._lines: list[bytes] = []
        self._replies: deque[SmtpReply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._slow: tuple[Callable[[], None] | None, float] = (None, 0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._lost: str | None = None

    def take_over(self, transport: asyncio.BaseTransport) -> None:
        """Read from `transport` from now on."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(high=0)  # `drained` wants to know when nothing is left

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent. A reply that nobody asked for (a 421 before closing) makes a line unusable."""
        return self._lost is None and not self._replies and not self._lines and not self._buffer

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._lost is not None

    @property
    def is_midway(self) -> bool:
        """Whether part of a reply has come."""
        return bool(self._lines or self._buffer)

    def waiting(self) -> SmtpReply | None:
        """Return the last reply that has come and was not read, or None: a server's last word before it hung up."""
        return self._replies[-1] if self._replies else None

    def discard(self) -> None:
        """Throw away what has come and was not asked for."""
        self._replies.clear()

    def write(self, data: bytes) -> None:
        """Send `data`.

        Raises:
            ConnectionLost: the connection has ended.
        """
        if self._lost is not None or self._transport is None or self._transport.is_closing():
            raise ConnectionLost(self._lost or "the connection is closed")
        self._transport.write(data)

    async def drained(self, seconds: float) -> None:
        """Return when what was written has left this program.

        Raises:
            ConnectionLost: the connection ended first.
            TimeoutError: it did not within `seconds`.
        """
        await asyncio.wait_for(self._room.wait(), seconds)
        if self._lost is not None:
            raise ConnectionLost(self._lost)

    async def reply(self, seconds: float, slow: Callable[[], None] | None = None) -> SmtpReply:
        """Return the next reply; `slow` is called once if it takes more than a second or two.

        Raises:
            ConnectionLost: the connection ended first.
            TimeoutError: none came within `seconds`.
        """
        if not self._replies:
            loop = asyncio.get_running_loop()
            self._deadline, self._slow = loop.time() + seconds, (slow, loop.time() + TICK)
            self._watch(loop)
            while not self._replies:
                if self._lost is not None:
                    raise ConnectionLost(self._lost)
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
        return self._replies.popleft()

    def abort(self) -> None:
        """End the connection at once, sending nothing more."""
        self._lost = self._lost or "the connection was given up"
        self._room.set()
        if self._transport is not None:
            self._transport.abort()

    async def quit(self) -> None:
        """Say goodbye and close."""
        try:
            self.write(b"QUIT\r\n")
            await self.reply(2)
        except (ConnectionLost, TimeoutError):
            pass
        if self._transport is not None:
            self._transport.close()

    # What asyncio calls

    def pause_writing(self) -> None:
        """Note that the other side does not read as fast as we write."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Note that everything has been sent."""
        self._room.set()

    def data_received(self, data: bytes) -> None:
        """Parse complete lines into replies."""
        self._buffer += data
        if len(self._buffer) > LONGEST_REPLY or len(self._lines) > 500:
            self._fail("the server's reply was too long")
            return
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is None:
                self._fail(f"the server said something that is no SMTP: {words(line[:80])}")
                return
            code, more, text = found.groups()
            self._lines.append(text or b"")
            if more != b"-":
                self._replies.append(SmtpReply(int(code), tuple(self._lines)))
                self._lines = []
        if self._replies:
            self._wake()

    def eof_received(self) -> bool:
        """Treat a half-closed connection as closed."""
        self._lost = self._lost or "the server closed the connection"
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits, after what the server said before it hung up has been read."""
        if exc is not None and self._lost is None:
            self._read_left()
        self._lost = self._lost or (f"the connection was lost: {exc}" if exc else "the server closed the connection")
        self._wake()

    def _read_left(self) -> None:
        """Read what has come and was not handed over: a write that fails ends the reading (asyncio), not the reply.

        What is encrypted is left: it cannot be read here, and TLS reads before it writes.
        """
        transport = self._transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        ours = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if data := os.read(ours.fileno(), LONGEST_REPLY // 2):
                self.data_received(data)

    def _fail(self, why: str) -> None:
        self._lost = why
        self.abort()
        self._wake()

    def _wake(self) -> None:
        if self._lost is not None:
            self._room.set()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the clock at the deadline, or sooner: one timer serves every reply that comes before it is due."""
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(min(self._deadline, loop.time() + TICK), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if loop.time() >= self._deadline:
            self._waiter.set_exception(TimeoutError())
            return
        slow, since = self._slow
        if slow is not None and loop.time() >= since:
            self._slow = (None, 0.0)
            slow()
        self._watch(loop)
