"""Sends one copy and records the truth about it: "uncertain" before the final dot, the reply after it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from steward.errors import LateWriter
from steward.mail.draft import LARGEST_STORED, Made, Workshop
from steward.mail.transport import Parcel, Phase, Reply, Transport
from steward.model.content import mask
from steward.model.results import Outcome
from steward.storage.database import Connection
from steward.storage.database.group_commit import GroupWriter
from steward.storage.encryption import Seal
from steward.storage.tasks import attempts, deliveries
from steward.storage.tasks.attempts import Ending
from steward.system.clock import now


class Expired(Exception):
    """The task expired while its copy was waiting for the wire."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One copy on its way: whose it is, and the bytes, or what makes them when it is sent (about `size` of them)."""

    task_id: str
    claim: str
    attempt: int
    n: int
    sender: str
    recipient: str
    message_id: str
    subject: str
    wire: bytes
    stored: bool
    expires_at: int | None
    secrets: tuple[str, ...] = ()
    urgent: bool = False
    make: Callable[[], Made] | None = None
    size: int = 0
    keep: Made | None = None
    kept: set[str] = field(default_factory=set)
    """The SHA-256 of the files of this task that are stored for a repeat."""
    uncertain: int = 0
    """How often it was sent before, and nobody knows whether it arrived."""


Then = Callable[[Connection, Reply], Ending | None]
"""Called in the commit that records a reply; returns how the attempt ends if it ends with this letter."""


Finished = Callable[[Reply | None, BaseException | None], None]
"""Called once the reply has been committed, or with the error that came instead."""


@dataclass(slots=True)
class _Sending:
    """A letter from its first command to the record of its reply."""

    letter: Letter
    then: Then
    finished: Finished
    marked: bool = False
    reply: Reply | None = None


class Dispatch:
    """At most `in_flight` copies are between their mark and their record: the most that a crash can send twice."""

    def __init__(
        self,
        writer: GroupWriter,
        transport: Transport,
        seal: Seal,
        in_flight: int,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """`refused` is called as soon as the mail server has refused us, before that is recorded."""
        self._refused = refused
        self._writer, self._transport, self._seal, self._in_flight = writer, transport, seal, in_flight
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate: asyncio.Semaphore | None = None
        self._workshop = Workshop()
        self._arrived: deque[Callable[[], None]] = deque()
        self._woken = False

    def send(self, letter: Letter, then: Then, finished: Finished) -> None:
        """Send `letter`; `finished` is called once the reply has been committed together with what `then` adds.

        Its error is `LateWriter` (cancelled, or another worker has it), `Expired`, or `StorageUnavailable`. It is
        called in the thread of the ledger's writer or of the transport, and must be quick.
        """
        if letter.make is not None:
            make = partial(self._make, letter, letter.make, then, finished)
            self._workshop.make(letter.size, make, first=letter.urgent)
            return
        self._carry(letter, then, finished)

    def close(self) -> None:
        """Make no more letters."""
        self._workshop.close()

    def _make(self, letter: Letter, make: Callable[[], Made], then: Then, finished: Finished) -> None:
        def over(reply: Reply | None, error: BaseException | None) -> None:
            self._workshop.done(letter.size)
            finished(reply, error)

        try:
            made = make()
            self._carry(replace(letter, wire=made.wire, keep=made, make=None), then, over)
        except Exception as error:
            over(None, error)

    def _carry(self, letter: Letter, then: Then, finished: Finished) -> None:
        sending = _Sending(letter, then, finished)
        parcel = Parcel(letter.sender, letter.recipient, letter.wire, letter.message_id, letter.urgent)
        carried = self._transport.send(parcel, partial(self._before_dot, sending))
        carried.add_done_callback(partial(self._replied, sending))

    async def _before_dot(self, sending: _Sending) -> None:
        """Let the letter go once the mark is on disk."""
        letter = sending.letter
        if self._gate is None:
            self._loop, self._gate = asyncio.get_running_loop(), asyncio.Semaphore(self._in_flight)
        await self._gate.acquire()
        sending.marked = True
        if letter.expires_at is not None and now() >= letter.expires_at:
            raise Expired
        marked = asyncio.get_running_loop().create_future()
        self._writer.post(
            deliveries.mark_each,
            self._on_wire(letter),
            lambda value, error: self._in_loop(partial(_settle, marked, value, error)),
        )
        if not await marked:
            raise LateWriter(f"The task {letter.task_id} was cancelled, or another worker has taken it over")
        if letter.keep is not None:
            letter.kept.update(sha256 for sha256, _ in letter.keep.enclosures)

    def _replied(self, sending: _Sending, carried: Future[Reply]) -> None:
        error = carried.exception()
        if error is not None:
            self._release(sending)
            sending.finished(None, error)
            return
        reply = carried.result()
        if reply.ours and not reply.shared:
            self._refused()
        if sending.letter.secrets:
            reply = replace(reply, text=mask(reply.text, sending.letter.secrets))
        sending.reply = reply
        self._writer.post(self._record_each, sending, partial(self._finished, sending))

    def _finished(self, sending: _Sending, reply: Reply | None, error: BaseException | None) -> None:
        self._release(sending)
        sending.finished(reply, error)

    def _release(self, sending: _Sending) -> None:
        if sending.marked and self._gate is not None:
            self._in_loop(self._gate.release)

    def _in_loop(self, action: Callable[[], None]) -> None:
        """Do `action` in the transport's loop: what one commit has decided wakes it once."""
        self._arrived.append(action)
        if not self._woken and self._loop is not None:
            self._woken = True
            self._loop.call_soon_threadsafe(self._act)

    def _act(self) -> None:
        self._woken = False  # first: what arrives from now on wakes the loop again
        while self._arrived:
            self._arrived.popleft()()

    def _on_wire(self, letter: Letter) -> deliveries.OnWire:
        if letter.keep is not None:
            stored, enclosures = letter.keep.stored, letter.keep.enclosures
        else:
            keep = not letter.stored and len(letter.wire) <= LARGEST_STORED
            stored, enclosures = self._seal.close(letter.wire, letter.task_id) if keep else None, ()
        return deliveries.OnWire(
            letter.task_id,
            letter.claim,
            letter.n,
            letter.recipient,
            letter.message_id,
            letter.subject,
            letter.attempt,
            now(),
            stored,
            enclosures,
        )

    def _record_each(self, connection: Connection, items: Sequence[_Sending]) -> list[Reply]:
        replies: list[Reply] = []
        answers: list[deliveries.Answer] = []
        endings: list[Ending] = []
        moment = now()
        for sending in items:
            letter, reply = sending.letter, sending.reply
            assert reply is not None  # noqa: S101  # it is set before a letter comes here
            words = reply.text if reply.phase in (Phase.DONE, Phase.DOT) else f"{reply.text} ({reply.phase})"
            if sending.marked:
                answers.append(
                    deliveries.Answer(
                        letter.task_id, letter.n, letter.attempt, reply.outcome, reply.code, words, moment
                    )
                )
            elif reply.outcome is not Outcome.UNCERTAIN:
                deliveries.record_unsent(connection, self._on_wire(letter), reply.outcome, reply.code, words)
            ending = sending.then(connection, reply)
            if ending is not None:
                endings.append(ending)
            replies.append(reply)
        deliveries.record_each(connection, answers)
        attempts.end_each(connection, endings)
        return replies


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
