"""Sends mail over kept connections: who sends which letter over which of them.

aiosmtplib connects, secures and signs in. The transaction is driven by `SmtpTransaction`, because `send_message` cannot
tell "lost before MAIL" from "lost after the final dot" (a measured finding), and because commands may share one packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from steward.mail.transport import BeforeDot, Parcel, Phase, Reply, nothing_before_dot
from steward.mail.transports.smtp import url as smtp_address
from steward.mail.transports.smtp.connect import CONNECT_SECONDS, GREETING_SECONDS, ConnectFailed, SmtpSession, connect
from steward.mail.transports.smtp.connection import ConnectionLost
from steward.mail.transports.smtp.hello import SmtpHeloName
from steward.mail.transports.smtp.opening import SmtpConnector
from steward.mail.transports.smtp.transaction import PooledConnection, SmtpDelivery, SmtpTransaction, can_be_asked
from steward.model.results import Outcome
from steward.system import masking

COMMAND_SECONDS = 300.0
"""RFC 5321, sections 4.5.3.2.2 and 4.5.3.2.3: MAIL and RCPT may take five minutes each."""
FINAL_SECONDS = 600.0
"""RFC 5321, section 4.5.3.2.6: the reply to the final dot may take ten minutes; giving up earlier sends twice."""
IDLE_SECONDS = 20.0
MOST_LETTERS = 500
"""A connection is closed after this many letters: servers limit them."""
TAKEN_FOR_WELL = 1.0
"""Seconds after which a letter that was asked for, and is not refused yet, lets others go over further connections."""
MOST_UNANSWERED = 3
"""After so many in a row that were not answered, no commands are sent with a dot: not every server keeps its word."""


@dataclass(slots=True)
class _Asked:
    """A letter whose MAIL, RCPT and DATA were sent with the dot of the letter before, and the connection it is on."""

    order: SmtpDelivery
    kept: PooledConnection


class SmtpTransport:
    """One event loop in one thread owns every connection; attempts may run in it too. The caller keeps `in_flight`."""

    name = "smtp"

    def __init__(
        self,
        url: str,
        *,
        connections: int = 8,
        in_flight: int = 16,
        ca_file: Path | None = None,
        hello: str = "",
        connect_seconds: float = CONNECT_SECONDS,
        greeting_seconds: float = GREETING_SECONDS,
        command_seconds: float = COMMAND_SECONDS,
        final_seconds: float = FINAL_SECONDS,
    ) -> None:
        self._address = smtp_address.parse(url)
        masking.hide(self._address.password)
        self._ca_file, self._hello = ca_file, SmtpHeloName(hello)
        self._connect_seconds, self._greeting_seconds = connect_seconds, greeting_seconds
        self._command_seconds, self._final_seconds = command_seconds, final_seconds
        self._idle: list[PooledConnection] = []
        self._urgent: deque[SmtpDelivery] = deque()
        self._waiting: deque[SmtpDelivery] = deque()
        self._woken = False
        self._connections = connections
        self._talks = 0
        self._unanswered = 0
        self._proved = False
        self._proof: asyncio.TimerHandle | None = None
        self._new = SmtpConnector(self._connect)
        self._senders: set[asyncio.Task[None]] = set()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="smtp", daemon=True)
        self._thread.start()
        self._closer = asyncio.run_coroutine_threadsafe(self._close_idle(), self.loop)

    def send(self, parcel: Parcel, before_dot: BeforeDot = nothing_before_dot) -> Future[Reply]:
        """Send `parcel`; see `Transport.send`."""
        future: Future[Reply] = Future()
        self._queue(parcel).append(SmtpDelivery(parcel, before_dot, future))
        if not self._woken:  # a batch wakes the loop once
            self._woken = True
            self.loop.call_soon_threadsafe(self._begin)
        return future

    def check(self) -> Reply:
        """Connect, secure and sign in; see `Transport.check`."""
        return asyncio.run_coroutine_threadsafe(self._check(), self.loop).result()

    def silent(self, seconds: float) -> int:
        """Count connections that no server has greeted; see `Transport.silent`."""
        return self._new.silent(seconds)

    def reconnect(self) -> None:
        """Connect anew where a greeting is waited for; see `Transport.reconnect`."""
        self.loop.call_soon_threadsafe(self._new.anew)

    def close(self) -> None:
        """Say goodbye on the idle connections and stop. What is on the wire is waited for by its sender."""
        if not self._thread.is_alive():
            return
        self._closer.cancel()
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._quit_idle(older_than=-1.0), self.loop).result(timeout=3)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=2)

    async def _check(self) -> Reply:
        try:
            opened = await self._new.one()
        except ConnectFailed as error:
            return error.reply
        await opened.line.quit()
        return Reply(Outcome.ACCEPTED, Phase.DONE, None, f"{self._address} answers")

    def _queue(self, parcel: Parcel) -> deque[SmtpDelivery]:
        return self._urgent if parcel.urgent else self._waiting

    async def _connect(self) -> SmtpSession:
        return await connect(self._address, self._ca_file, self._connect_seconds, self._greeting_seconds, self._hello)

    def _begin(self) -> None:
        """Let as many senders work as there are letters, and at most one for each connection."""
        self._woken = False  # first: a letter that comes from now on wakes the loop again
        lines = self._connections if self._proved else 1
        for _ in range(min(len(self._urgent) + len(self._waiting), lines - len(self._senders))):
            self._senders.add(self.loop.create_task(self._work()))

    async def _work(self) -> None:
        asked: _Asked | None = None
        try:
            while asked or self._urgent or self._waiting:
                order = asked.order if asked else (self._urgent or self._waiting).popleft()
                future = order.future
                if not future.running() and not future.set_running_or_notify_cancel():
                    continue
                try:
                    reply, asked = await self._send(order, asked)
                    self._learn(reply)
                    future.set_result(reply)
                except ConnectFailed:
                    # The server has no line left for us, and talks on others: whoever is done there takes this one.
                    self._queue(order.parcel).appendleft(order)
                    return
                except BaseException as error:
                    asked = None
                    future.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            # In the same step as the last look at what waits: the next letter finds this place free.
            self._senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _send(self, order: SmtpDelivery, asked: _Asked | None) -> tuple[Reply, _Asked | None]:
        """Return what became of a letter, and the letter that the same connection has been asked to take next."""
        while True:
            fresh = not self._idle and asked is None
            try:
                kept = (
                    asked.kept if asked else self._idle.pop() if self._idle else PooledConnection(await self._new.one())
                )
            except ConnectFailed as error:
                if self._talks and not error.reply.ours:
                    raise
                self._answer_waiting(error.reply)
                return error.reply, None
            if not asked and not kept.opened.line.is_open:
                kept.opened.line.abort()
                continue
            talk = SmtpTransaction(
                kept,
                order,
                self._command_seconds,
                self._final_seconds,
                asked=asked is not None,
                look_ahead=self._next_for,
                give_back=self._give_back,
                agreed=self._expect_proof,
            )
            asked = None
            self._talks += 1
            try:
                reply = await talk.run()
            except (ConnectionLost, TimeoutError) as error:
                kept.opened.line.abort()
                talk.withdraw()
                if talk.asked and not talk.heard:
                    self._unanswered += 1  # no dot was sent: nothing is repeated
                    continue
                if not fresh and not talk.heard and isinstance(error, ConnectionLost):
                    continue  # a kept connection had gone stale: nothing was asked yet, so nothing is repeated
                why = str(error) if isinstance(error, ConnectionLost) else "the server did not answer in time"
                return talk.lost(why), None
            except BaseException:
                # Cancelled, or told not to send: the connection looks usable and is not.
                kept.opened.line.abort()
                talk.withdraw()
                raise
            finally:
                self._talks -= 1
            if talk.asked:
                self._unanswered = 0
            following = await self._keep(kept, reply, talk)
            if reply.code == 421 and reply.phase is Phase.MAIL and not fresh:
                continue  # the server was about to end an idle connection (RFC 5321, section 3.8): another one
            return reply, following

    def _next_for(self, kept: PooledConnection) -> SmtpDelivery | None:
        """Return the letter whose commands may go with the dot that is about to go over `kept`.

        Only a server that answers a dot at once is asked ahead, and not one that has lost what was sent so.
        """
        if not self._waiting or self._urgent or not kept.prompt:
            return None
        if self._unanswered >= MOST_UNANSWERED or kept.sent + 1 >= MOST_LETTERS:
            return None
        order = self._waiting[0]
        if not can_be_asked(order.parcel, kept.opened):
            return None
        self._waiting.popleft()
        if not order.future.running() and not order.future.set_running_or_notify_cancel():
            return None
        return order

    def _give_back(self, order: SmtpDelivery) -> None:
        """Let another connection send a letter that was to be next on one which is slow, or lost."""
        self._waiting.appendleft(order)
        self._begin()

    def _learn(self, reply: Reply) -> None:
        """After we were refused ask with one letter alone until one has got further: hundreds would hear the same."""
        if reply.ours or reply.phase is Phase.CONNECT:
            self._note_proof(proved=False)
            self._answer_waiting(reply)
        elif reply.code is not None and reply.phase in (Phase.RCPT, Phase.DATA, Phase.DOT, Phase.DONE):
            self._prove()

    def _expect_proof(self) -> None:
        """The server asks for a letter. It may refuse us at the end still, but others do not wait long for that."""
        if not self._proved and self._proof is None:
            self._proof = self.loop.call_later(TAKEN_FOR_WELL, self._prove)

    def _note_proof(self, *, proved: bool) -> None:
        self._proved = proved
        if self._proof is not None:
            self._proof.cancel()
            self._proof = None

    def _prove(self) -> None:
        """The server takes letters of ours: use every connection."""
        if not self._proved:
            self._note_proof(proved=True)
            self._begin()

    def _answer_waiting(self, reply: Reply) -> None:
        """Tell whoever waits that the server cannot be had: each would find out anew, and a sign-in may be locked."""
        shared = replace(reply, shared=True)
        while self._urgent or self._waiting:
            future = (self._urgent or self._waiting).popleft().future
            if future.running() or future.set_running_or_notify_cancel():
                future.set_result(shared)

    async def _keep(self, kept: PooledConnection, reply: Reply, talk: SmtpTransaction) -> _Asked | None:
        """Keep a connection for the next letter, or end it; return the letter that it has been asked to take."""
        kept.sent += 1
        kept.used = time.monotonic()
        ends = reply.code == 421 or kept.finished or kept.sent >= MOST_LETTERS or kept.opened.line.is_lost
        following = None if ends else talk.following
        if talk.withdrawn or (ends and talk.following is not None):
            talk.withdraw()
            kept.opened.line.abort()  # the server may be waiting for a letter that another connection has
        elif ends or (following is None and not kept.opened.line.is_open):
            await kept.opened.line.quit()
        elif following is None:
            self._idle.append(kept)
        return _Asked(following, kept) if following is not None else None

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
