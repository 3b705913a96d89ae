"""Sends mail over kept connections: one transaction per letter, the phase of every failure known.

aiosmtplib connects, secures and signs in. The transaction is driven here, because `send_message` cannot tell "lost
before MAIL" from "lost after the final dot" (a measured finding), and because MAIL, RCPT and DATA may share one packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from steward.errors import UnsafeMail
from steward.results import Outcome
from steward.transport import BeforeDot, Parcel, Phase, Reply, nothing_before_dot
from steward.transports import smtp_address
from steward.transports.smtp_connect import CONNECT_SECONDS, NotConnected, Opened, connect
from steward.transports.smtp_line import LineLost
from steward.transports.smtp_replies import meaning

log = logging.getLogger(__name__)

COMMAND_SECONDS = 120.0
FINAL_SECONDS = 600.0
"""RFC 5321, section 4.5.3.2.6: the reply to the final dot may take ten minutes; giving up earlier sends twice."""
IDLE_SECONDS = 20.0
LARGE = 64 * 1024
"""A letter above this size (bytes) is uploaded first, and its final dot follows when the last byte has left."""
MOST_LETTERS = 500
"""A connection is closed after this many letters: servers limit them."""

_Order = tuple[Parcel, BeforeDot, "Future[Reply]"]
_ARGUMENT = re.compile(r"[!-;=?-~]+")  # printable ASCII but the blank, < and >


@dataclass
class _Kept:
    opened: Opened
    sent: int = 0
    dirty: bool = False
    used: float = field(default_factory=time.monotonic)


class SmtpTransport:
    """One event loop in one thread owns every connection. `in_flight` is kept by the caller's gate."""

    name = "smtp"

    def __init__(
        self,
        url: str,
        *,
        connections: int = 8,
        in_flight: int = 16,
        ca_file: Path | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        command_seconds: float = COMMAND_SECONDS,
        final_seconds: float = FINAL_SECONDS,
    ) -> None:
        self._address = smtp_address.parse(url)
        self._ca_file, self._connect_seconds = ca_file, connect_seconds
        self._command_seconds, self._final_seconds = command_seconds, final_seconds
        self._idle: list[_Kept] = []
        self._urgent: deque[_Order] = deque()
        self._waiting: deque[_Order] = deque()
        self._woken = False
        self._connections = connections
        self._talks = 0
        self._senders: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self._thread.start()
        self._closer = asyncio.run_coroutine_threadsafe(self._close_idle(), self._loop)

    def send(self, parcel: Parcel, before_dot: BeforeDot = nothing_before_dot) -> Future[Reply]:
        """Send `parcel`; see `Transport.send`."""
        future: Future[Reply] = Future()
        self._queue(parcel).append((parcel, before_dot, future))
        if not self._woken:  # a batch wakes the loop once
            self._woken = True
            self._loop.call_soon_threadsafe(self._begin)
        return future

    def check(self) -> Reply:
        """Connect, secure and sign in; see `Transport.check`."""
        return asyncio.run_coroutine_threadsafe(self._check(), self._loop).result()

    def close(self) -> None:
        """Say goodbye on the idle connections and stop. What is on the wire is waited for by its sender."""
        if not self._thread.is_alive():
            return
        self._closer.cancel()
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._quit_idle(older_than=-1.0), self._loop).result(timeout=3)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)

    async def _check(self) -> Reply:
        try:
            opened = await self._connect()
        except NotConnected as error:
            return error.reply
        await opened.line.quit()
        return Reply(Outcome.ACCEPTED, Phase.DONE, None, f"{self._address} answers")

    def _queue(self, parcel: Parcel) -> deque[_Order]:
        return self._urgent if parcel.urgent else self._waiting

    async def _connect(self) -> Opened:
        return await connect(self._address, self._ca_file, self._connect_seconds)

    def _begin(self) -> None:
        """Let as many senders work as there are letters, and at most one for each connection."""
        self._woken = False  # first: a letter that comes from now on wakes the loop again
        for _ in range(min(len(self._urgent) + len(self._waiting), self._connections - len(self._senders))):
            self._senders.add(self._loop.create_task(self._work()))

    async def _work(self) -> None:
        try:
            while self._urgent or self._waiting:
                parcel, before_dot, future = (self._urgent or self._waiting).popleft()
                if not future.running() and not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(await self._send(parcel, before_dot))
                except NotConnected:
                    # The server has no line left for us, and talks on others: whoever is done there takes this one.
                    self._queue(parcel).appendleft((parcel, before_dot, future))
                    return
                except BaseException as error:
                    future.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            # In the same step as the last look at what waits: the next letter finds this place free.
            self._senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _send(self, parcel: Parcel, before_dot: BeforeDot) -> Reply:
        while True:
            fresh = not self._idle
            try:
                kept = self._idle.pop() if self._idle else _Kept(await self._connect())
            except NotConnected as error:
                if self._talks and not error.reply.ours:
                    raise
                self._answer_waiting(error.reply)
                return error.reply
            if not kept.opened.line.is_open:
                kept.opened.line.abort()
                continue
            talk = _Talk(kept, parcel, before_dot, self._command_seconds, self._final_seconds)
            self._talks += 1
            try:
                reply = await talk.run()
            except LineLost as error:
                kept.opened.line.abort()
                if not fresh and not talk.heard:
                    continue  # a kept connection had gone stale: nothing was asked yet, so nothing is repeated
                return talk.lost(str(error))
            except TimeoutError:
                kept.opened.line.abort()
                return talk.lost("the server did not answer in time")
            except BaseException:
                # Cancelled, or told not to send: the connection looks usable and is not.
                kept.opened.line.abort()
                raise
            finally:
                self._talks -= 1
            await self._keep(kept, reply)
            if reply.code == 421 and reply.phase is Phase.MAIL and not fresh:
                continue  # the server was about to end an idle connection (RFC 5321, section 3.8): another one
            return reply

    def _answer_waiting(self, reply: Reply) -> None:
        """Tell whoever waits that the server cannot be had: each would find out anew, and a sign-in may be locked."""
        while self._urgent or self._waiting:
            _, _, future = (self._urgent or self._waiting).popleft()
            if future.running() or future.set_running_or_notify_cancel():
                future.set_result(reply)

    async def _keep(self, kept: _Kept, reply: Reply) -> None:
        kept.sent += 1
        kept.used = time.monotonic()
        if reply.code == 421 or kept.sent >= MOST_LETTERS or not kept.opened.line.is_open:
            await kept.opened.line.quit()
        else:
            self._idle.append(kept)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS / 4)
            await self._quit_idle(IDLE_SECONDS)

    async def _quit_idle(self, older_than: float) -> None:
        moment = time.monotonic()
        old = [k for k in self._idle if moment - k.used > older_than]
        self._idle = [k for k in self._idle if k not in old]
        for kept in old:
            await kept.opened.line.quit()


class _Talk:
    """One transaction. `heard` tells whether the server has answered anything in it."""

    def __init__(self, kept: _Kept, parcel: Parcel, before_dot: BeforeDot, command: float, final: float) -> None:
        self._kept, self._parcel, self._before_dot = kept, parcel, before_dot
        self._command, self._final = command, final
        self._phase = Phase.MAIL
        self.heard = False

    def lost(self, why: str) -> Reply:
        """Return what is known after the connection was lost in this phase."""
        outcome = Outcome.UNCERTAIN if self._phase is Phase.DOT else Outcome.DEFERRED
        return Reply(outcome, self._phase, None, why)

    async def run(self) -> Reply:
        """Send the letter and return the reply that decides.

        Raises:
            LineLost, TimeoutError: see `lost`. Whatever `before_dot` raises.
            UnsafeMail: an address holds what could become another command.
        """
        parcel, opened, line = self._parcel, self._kept.opened, self._kept.opened.line
        for address in (parcel.sender, parcel.recipient):
            if not _ARGUMENT.fullmatch(address):
                raise UnsafeMail("An address would end its SMTP command early", ascii(address[:80]))
        if opened.size is not None and len(parcel.wire) > opened.size:
            text = f"the letter has {len(parcel.wire):,} bytes, and the server takes {opened.size:,}"
            return Reply(Outcome.REFUSED, Phase.MAIL, 552, text)
        size = f" SIZE={len(parcel.wire)}" if opened.size is not None else ""
        commands = [
            (Phase.MAIL, f"MAIL FROM:<{parcel.sender}>{size}\r\n".encode("ascii")),
            (Phase.RCPT, f"RCPT TO:<{parcel.recipient}>\r\n".encode("ascii")),
            (Phase.DATA, b"DATA\r\n"),
        ]
        if self._kept.dirty:
            commands.insert(0, (Phase.MAIL, b"RSET\r\n"))
            self._kept.dirty = False
        if opened.pipelining:  # RFC 2920
            line.write(b"".join(command for _, command in commands))
        decided: Reply | None = None
        for phase, command in commands:
            self._phase = phase
            if not opened.pipelining:
                if decided is not None:
                    break
                line.write(command)
            reply = await line.reply(self._command)
            self.heard = True
            wanted = 300 if phase is Phase.DATA else 200
            if decided is None and not wanted <= reply.code < wanted + 100:
                decided = meaning(reply, phase)
                self._kept.dirty = True
                if reply.code == 421:
                    return decided
                if not 400 <= reply.code < 600:
                    line.abort()  # no reply for this place: what the server thinks is going on cannot be known
                    return decided
            elif decided is not None and phase is Phase.DATA and reply.code == 354:
                # The server waits for a letter that must not be sent: only a closed line says so for certain.
                line.abort()
        if decided is not None:
            return decided
        body, dot = stuffed(parcel.wire), b".\r\n"
        if len(body) > LARGE:
            # A line that is lost on the way up is no uncertainty: without the dot nothing may be delivered.
            line.write(body)
            await line.drained(self._final)
            body = b""
        await self._before_dot()
        self._phase = Phase.DOT
        line.write(body + dot)
        reply = await line.reply(self._final)
        if not (200 <= reply.code < 300 or 400 <= reply.code < 600):
            raise LineLost(f"the server answered {reply.code} {reply.text}, which says nothing about the letter")
        return meaning(reply, Phase.DOT)


def stuffed(wire: bytes) -> bytes:
    """Return `wire` with a dot doubled at the begin of each line (RFC 5321, section 4.5.2), ending in CRLF."""
    if not wire.endswith(b"\r\n"):
        wire += b"\r\n"
    if wire.startswith(b"."):
        wire = b"." + wire
    return wire.replace(b"\r\n.", b"\r\n..")
