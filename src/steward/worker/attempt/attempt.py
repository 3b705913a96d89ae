"""One attempt at one task, from begin to end; read it downwards: `TaskAttempt.run`, then `TaskAttempt._deliver`.

Attempts are coroutines of one event loop, and hundreds are made at once. What is done for many together is behind what
they await: `ledger.commit` writes what all of them wish in one transaction, `handlers.run` prepares a batch in one
child process, the transport sends the commands of one letter with the dot of the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from traceback import format_exception
from typing import Any

from steward.errors import LateWriter, StewardError
from steward.mail.circuit_breaker import MailPaused
from steward.mail.delivery import deliver
from steward.mail.draft import in_pieces, size_of
from steward.mail.message.message import MessageAttachment
from steward.mail.transport import Parcel, Reply
from steward.model.content import mask
from steward.model.declaration.handler import Handler
from steward.model.results import Outcome
from steward.model.states import Task
from steward.plugins.run_result import EmailDraft, HandlerFailure, HandlerRequest, HandlerResult
from steward.storage import working_folders
from steward.storage.encryption import Seal
from steward.storage.fleet.circuit_breaker import SENDING, STOOD_STILL, TRIAL
from steward.storage.tasks import attempts, deliveries
from steward.storage.tasks.attempts import AttemptEnd, BegunAttempt
from steward.storage.tasks.deliveries import StoredDelivery
from steward.system.clock import SECOND, now
from steward.tasks import task_log
from steward.worker.attempt import copies, outcomes
from steward.worker.attempt.artifacts import ArtifactKeeper
from steward.worker.attempt.outcomes import DeliveryOutcome
from steward.worker.attempt.parts import AttemptParts


class Expired(Exception):
    """The task expired while a copy was waiting for the wire."""


class TaskAttempt:
    """`lost` is set from outside, once the task is cancelled or another worker's; `begun` when it is in our hand."""

    def __init__(self, parts: AttemptParts, task_id: str, claim: str, *, alone: bool) -> None:
        """`alone`: nobody else begins together with it, so it may be a suspect."""
        self._parts, self.task_id, self.claim, self._alone = parts, task_id, claim, alone
        self.begun: BegunAttempt | None = None
        self.lost = self._is_over = self._refused = False
        self._fates: list[DeliveryOutcome] = []
        self._unrecorded = 0
        self._secrets: tuple[str, ...] = ()
        self._note: tuple[str | None, str | None] = (None, None)

    async def run(self) -> None:
        """Begin, prepare, lay out, send, and end.

        Raises:
            StorageUnavailable: it could not begin; the task stays queued.
        """
        parts = self._parts

        # Begin: from here on every write names our claim, and is refused once the task has another.
        wanted = (self.task_id, parts.worker, self.claim, self._alone)
        begun = self.begun = await parts.ledger.commit(attempts.begin_each, wanted)
        if begun is None:
            return  # somebody else has it, or it is not due any more
        task, handler = begun.task, parts.registry.handlers.get(begun.task.name)
        if handler is None:
            await self._end(task, outcomes.blocked(task, self.claim, now()))
            return
        if task.expires_at is not None and task.expires_at <= now():
            await self._end(task, outcomes.expired(task, self.claim, now()))
            return
        if parts.retry_delays:
            handler = dataclasses.replace(handler, retry=outcomes.delayed(handler.retry, parts.retry_delays))

        has_files = False
        try:
            # Prepare: the handler runs in a child process, and says what it wants.
            if self.lost:
                raise LateWriter(f"The task {task.id} was cancelled, or another worker has taken it over")
            self._secrets = tuple(_opened(parts.seal, task))
            prepared = await parts.handlers.run(HandlerRequest.of(task, self.claim, self._secrets))
            if isinstance(prepared, HandlerFailure):
                raise _Failed(prepared)
            has_files = bool(prepared.documents) or any(draft.wire is None for draft in prepared.letters)

            # Lay out: documents become files; those that are to be kept are archived and recorded.
            files: list[list[MessageAttachment]] = []
            self._note = (prepared.note, prepared.figures)
            if prepared.documents or begun.artifacts:
                files = await self._in(parts.layouts, self._laid_out, begun, prepared)

            # Send: one letter for each recipient who has not got it yet. An attempt of one letter ends as that is
            # recorded, in one commit.
            open_, self._fates = copies.to_send(begun, self.claim, handler, prepared.letters, parts.seal)
            sending = [
                self._deliver(begun, handler, prepared.letters[copy.n], copy, stored, files) for copy, stored in open_
            ]
            if sending and task.lost:  # a suspect has proved its innocence; the others do when a letter is marked
                parts.ledger.submit(lambda c: deliveries.say_sending(c, task.id, task.attempt))
            self._unrecorded = len(sending)
            if len(sending) == 1:
                await sending[0]
            else:
                await _all(sending)
            ending = None if self._is_over else self._delivered(task, handler)
        except Expired:
            ending = outcomes.expired(task, self.claim, now())
        except LateWriter:
            ending = None
        except Exception as error:
            ending = None if self.lost else self._failed(task, handler, error)

        # End: the task's next state; it stays as it is where another has it.
        if ending is not None:
            await self._end(task, ending)
        if has_files:  # what a cancelled one has left is swept
            working_folders.remove(parts.spool, task.id, self.claim)

    async def _deliver(
        self,
        begun: BegunAttempt,
        handler: Handler,
        draft: EmailDraft,
        copy: StoredDelivery,
        stored: bytes | None,
        files: Sequence[Sequence[MessageAttachment]],
    ) -> None:
        """Make one letter's bytes where they are not made yet, mark it, send it, and record what became of it.

        `stored` is what an earlier attempt has kept of it for a repeat; `files` are those of each document.

        Raises:
            LateWriter: the task was cancelled, or another worker has it.
            Expired: its time has passed.
        """
        parts, task = self._parts, begun.task
        urgent = task.lane == "urgent"
        is_held = False

        async def mark() -> None:
            """Let the letter go once it is on disk that it may arrive: the transport awaits this before its dot."""
            nonlocal is_held
            await parts.gate.acquire()
            is_held = True
            if task.expires_at is not None and now() >= task.expires_at:
                raise Expired
            copy.wire = copy.wire or copies.to_keep(task.id, wire, stored, draft, parts.seal)
            if not await parts.ledger.commit(deliveries.mark_each, copy):
                raise LateWriter(f"The task {task.id} was cancelled, or another worker has taken it over")
            copy.marked = True
            begun.enclosed.update(sha256 for sha256, _ in copy.enclosures)

        try:
            if reason := parts.lane.reason_to_wait(task.id):
                self._refused = True  # it has stopped since the batch began: nobody signs in again and again
                raise MailPaused(reason)
            async with contextlib.AsyncExitStack() as making:
                # Make: few letters; most are made when they are prepared, or kept from an earlier attempt.
                if stored is not None and not in_pieces(stored):
                    wire = stored
                elif stored is None and draft.message is None:
                    wire = draft.wire or b""
                else:
                    message = copies.whole(draft, files)
                    size = max(len(stored or b""), size_of(message) if message is not None else 0)
                    await making.enter_async_context(parts.room.of(size, first=urgent))
                    self._require_going(task)
                    letter = await self._in(
                        parts.makers, copies.made_of, begun, stored, message, parts.seal, parts.ledger.ledger
                    )
                    wire, copy.wire, copy.enclosures = letter.wire, letter.stored, letter.enclosures

                # Mark and send: the transport asks for the mark when the server has agreed to take the letter.
                parcel = Parcel(draft.sender, draft.recipient, wire, draft.message_id, urgent)
                reply = await deliver(parts.transport, parcel, mark)
                if reply.ours and not reply.shared:
                    parts.lane.refused()

                # Record: the reply, and with the last letter of the attempt its end.
                reply = dataclasses.replace(reply, text=mask(reply.text, self._secrets)) if self._secrets else reply
                fate = await self._judged(task, handler, copy, reply)
                copies.note(copy, reply)
                if not copy.marked and not copy.outcome.final:
                    copy.wire = copy.wire or copies.to_keep(task.id, wire, stored, draft, parts.seal)
                ending = self._delivered(task, handler, fate) if self._unrecorded == 1 else None
                await parts.ledger.commit(attempts.record_each, (copy, ending))
                if ending is not None:
                    self._is_over = True
                    task_log.ended(task, ending)
        except (LateWriter, Expired):
            raise
        except MailPaused as error:
            fate = DeliveryOutcome(draft.recipient, Outcome.DEFERRED, error.reason, counts=False, waits=STOOD_STILL)
        except Exception as error:
            words = str(error) if isinstance(error, StewardError) else f"{type(error).__name__}: {error}"
            task_log.unrecorded(task, "a letter", words)
            fate = DeliveryOutcome(draft.recipient, Outcome.DEFERRED, words)
        finally:
            if is_held:
                parts.gate.release()
        self._fates.append(fate)
        self._unrecorded -= 1

    async def _judged(self, task: Task, handler: Handler, copy: StoredDelivery, reply: Reply) -> DeliveryOutcome:
        """Return what a reply means for its task; what it means for all mail is learnt too."""
        waits = ""
        lane = self._parts.lane
        if lane.concerns(task.id, reply):
            # The reason is for everybody to see; who was written to is not.
            reason = reply.text.replace(copy.recipient, "the recipient")
            waits = await self._parts.ledger.commit(lane.hear_each, (task.id, reply, reason))
        self._refused = self._refused or reply.ours
        return outcomes.fate(handler, copy, reply, waits)

    def _delivered(self, task: Task, handler: Handler, *last: DeliveryOutcome) -> AttemptEnd:
        # What only sends waits in its lane; a report would be made again each second.
        soon = (self._parts.lane.stopped or self._refused) and task.lane in SENDING
        patience = SECOND if soon else TRIAL
        fates = [*self._fates, *last]
        return self._within_means(
            outcomes.delivered(task, self.claim, handler, fates, now(), *self._note, patience=patience)
        )

    def _failed(self, task: Task, handler: Handler, error: Exception) -> AttemptEnd:
        if not isinstance(error, (_Failed, StewardError)):
            task_log.failed(task, mask("".join(format_exception(error)), self._secrets))
        failure = error.failure if isinstance(error, _Failed) else outcomes.failure(error, self._secrets)
        return outcomes.failed(task, self.claim, handler, failure, now())

    async def _end(self, task: Task, ending: AttemptEnd) -> None:
        ending = self._within_means(ending)
        try:
            await self._parts.ledger.commit(attempts.record_each, (None, ending))
        except Exception as error:
            task_log.unrecorded(task, "the end", error)
        else:
            task_log.ended(task, ending)

    def _within_means(self, ending: AttemptEnd) -> AttemptEnd:
        """Return `ending` as this engine can keep it."""
        return ending if self._parts.retries_later else outcomes.never_later(ending)

    def _laid_out(self, begun: BegunAttempt, prepared: HandlerResult) -> list[list[MessageAttachment]]:
        parts = self._parts
        how = (parts.ledger, parts.archive, parts.renderer, lambda: self.lost, begun.artifacts)
        keeping = ArtifactKeeper(begun.task, self.claim, *how, copies.some_sent(begun.copies))
        files = keeping.produce(prepared.documents)
        self._note = (keeping.noted(prepared.note), prepared.figures)
        return files

    def _require_going(self, task: Task) -> None:
        """Return if a letter that has waited for those before it may go still. Raises as what is to become of it."""
        if self.lost:
            raise LateWriter(f"The task {task.id} was cancelled, or another worker has taken it over")
        if reason := self._parts.lane.reason_to_stop(task.id):
            raise MailPaused(reason)

    async def _in(self, threads: Executor, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, function, *args)


class _Failed(Exception):
    """The handler could not be run, or has failed."""

    def __init__(self, failure: HandlerFailure) -> None:
        self.failure = failure
        super().__init__(failure.words)


async def _all(sending: Sequence[Awaitable[None]]) -> None:
    """Return when every letter has come to its end, and only then raise what one of them has raised."""
    for error in await asyncio.gather(*sending, return_exceptions=True):
        if error is not None:
            raise error


def _opened(seal: Seal, task: Task) -> list[str]:
    """Return the secrets of a task.

    Raises:
        _Failed: they cannot be opened, and could not by another attempt.
    """
    try:
        return seal.open_texts(task.sealed, task.id)
    except StewardError as error:
        raise _Failed(HandlerFailure(str(error), final=True)) from error
