"""Sends one copy and records the truth about it: "uncertain" before the final dot, the reply after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import sqlalchemy as sa

from steward.clock import now
from steward.errors import LateWriter
from steward.ledger import deliveries
from steward.ledger.writer import GroupWriter
from steward.results import Outcome
from steward.sealing import Seal
from steward.transport import Parcel, Phase, Reply, Transport

LARGEST_STORED = 1_000_000
"""Messages above this size (bytes) are not kept for a repeat: they are composed again, to the same bytes."""


class Expired(Exception):
    """The task expired while its copy was waiting for the wire."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One copy on its way: whose it is, and the bytes."""

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


Then = Callable[[sa.Connection, Reply], None]


class Dispatch:
    """At most `in_flight` copies are between their mark and their record: the most that a crash can send twice."""

    def __init__(self, writer: GroupWriter, transport: Transport, seal: Seal, in_flight: int) -> None:
        self._writer, self._transport, self._seal, self._in_flight = writer, transport, seal, in_flight
        self._gate: asyncio.Semaphore | None = None

    def send(self, letter: Letter, then: Then) -> Future[Reply]:
        """Send `letter`; the future is set once the reply has been committed together with what `then` adds.

        It raises `LateWriter` (cancelled, or another worker has it), `Expired`, or `StorageUnavailable`.
        """
        result: Future[Reply] = Future()
        held: list[tuple[asyncio.AbstractEventLoop, asyncio.Semaphore]] = []

        async def before_dot() -> None:
            loop = asyncio.get_running_loop()
            if self._gate is None:
                self._gate = asyncio.Semaphore(self._in_flight)
            await self._gate.acquire()
            held.append((loop, self._gate))
            if letter.expires_at is not None and now() >= letter.expires_at:
                raise Expired
            copy = self._on_wire(letter)
            if not await asyncio.wrap_future(self._writer.submit(lambda c: deliveries.mark(c, copy))):
                raise LateWriter(f"The task {letter.task_id} was cancelled, or another worker has taken it over")

        def release() -> None:
            for loop, gate in held:
                loop.call_soon_threadsafe(gate.release)
            held.clear()

        def replied(future: Future[Reply]) -> None:
            error = future.exception()
            if error is not None:
                release()
                result.set_exception(error)
                return
            reply = future.result()
            recorded = self._writer.submit(lambda c: self._record(c, letter, reply, then, marked=bool(held)))
            recorded.add_done_callback(finished)

        def finished(future: Future[Reply]) -> None:
            release()
            error = future.exception()
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(future.result())

        parcel = Parcel(letter.sender, letter.recipient, letter.wire, letter.message_id)
        self._transport.send(parcel, before_dot).add_done_callback(replied)
        return result

    def _on_wire(self, letter: Letter) -> deliveries.OnWire:
        keep = not letter.stored and len(letter.wire) <= LARGEST_STORED
        return deliveries.OnWire(
            letter.task_id,
            letter.claim,
            letter.n,
            letter.recipient,
            letter.message_id,
            letter.subject,
            letter.attempt,
            now(),
            self._seal.close(letter.wire, letter.task_id) if keep else None,
        )

    def _record(self, connection: sa.Connection, letter: Letter, reply: Reply, then: Then, *, marked: bool) -> Reply:
        words = reply.text if reply.phase in (Phase.DONE, Phase.DOT) else f"{reply.text} ({reply.phase})"
        if marked:
            deliveries.record(
                connection, letter.task_id, letter.n, letter.attempt, reply.outcome, reply.code, words, now()
            )
        elif reply.outcome is not Outcome.UNCERTAIN:
            deliveries.record_unsent(connection, self._on_wire(letter), reply.outcome, reply.code, words)
        then(connection, reply)
        return reply
