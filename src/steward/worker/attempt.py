"""One attempt at one task: its documents laid out and kept, its letters sent, its ending recorded."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from traceback import format_exception

from steward.documents.pdf.renderer import Renderer
from steward.errors import LateWriter, RenderLimitExceeded, StewardError, StorageUnavailable, TaskError
from steward.mail.circuit_breaker import MailLane, StandsStill
from steward.mail.delivery import Dispatch, Expired, Letter
from steward.mail.draft import Made, in_pieces, made, made_again, size_of
from steward.mail.message.message import Enclosed, Message
from steward.mail.transport import Reply
from steward.model.content import mask
from steward.model.declaration.handler import Handler
from steward.model.results import Artifact, Outcome
from steward.model.states import Task
from steward.plugins.run_result import Draft, Failure, Prepared
from steward.storage.archive import Archive
from steward.storage.database import Connection
from steward.storage.database.group_commit import GroupWriter
from steward.storage.encryption import Seal
from steward.storage.fleet.circuit_breaker import SENDING, STOOD_STILL, TRIAL
from steward.storage.tasks import attempts, deliveries
from steward.storage.tasks.attempts import Ending
from steward.system.clock import SECOND, now
from steward.tasks import task_log
from steward.worker import outcomes
from steward.worker.artifacts import Keeping, told_apart
from steward.worker.outcomes import Fate

_MAY_HAVE_GONE = (Outcome.ACCEPTED, Outcome.CAPTURED, Outcome.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every performance of a worker shares."""

    writer: GroupWriter
    dispatch: Dispatch
    seal: Seal
    archive: Archive
    renderer: Renderer
    lane: MailLane
    retry_delays: tuple[float, ...] | None = None
    retries_later: bool = True


class Performance:
    """Ends exactly once, whatever happens; `over` is called then."""

    def __init__(
        self,
        task: Task,
        claim: str,
        handler: Handler,
        parts: Parts,
        is_lost: Callable[[], bool],
        over: Callable[[Task], None],
    ) -> None:
        self.task, self.claim, self._parts, self._is_lost, self._tell_over = task, claim, parts, is_lost, over
        if parts.retry_delays:
            handler = dataclasses.replace(handler, retry=outcomes.delayed(handler.retry, parts.retry_delays))
        self._handler = handler
        self.copies: list[deliveries.Copy] = []
        self.artifacts: list[Artifact] = []
        self.enclosed: set[str] = set()
        self.secrets: tuple[str, ...] = ()
        self.has_files = False
        self._is_over = False
        self._lock = threading.Lock()
        self._fates: list[Fate] = []
        self._waiting = 0
        self._alone = False
        self._waits: dict[int, str] = {}
        self._refused = False
        self._note: tuple[str | None, str | None] = (None, None)
        self._ending: Ending | None = None

    def go(self, prepared: Prepared) -> None:
        """Lay out, keep, and send what was prepared. Raises nothing."""
        self.has_files = bool(prepared.documents) or any(draft.wire is None for draft in prepared.letters)
        try:
            files = (keeping := self._keeping()).produce(prepared.documents)
            self._note = (keeping.noted(prepared.note), prepared.figures)
            letters = [self._letter(n, draft, files) for n, draft in enumerate(prepared.letters)]
        except RenderLimitExceeded as error:
            # The same document would reach the same limit: four times the limit is no limit.
            self.fail(Failure(str(error), final=True))
        except StorageUnavailable as error:
            self.fail(Failure(str(error)))
        except LateWriter:
            self._over()
        except StewardError as error:
            self.fail(Failure(str(error), final=isinstance(error, TaskError)))
        except Exception as error:
            task_log.failed(self.task, mask("".join(format_exception(error)), self.secrets))
            self.fail(Failure(mask(f"The task failed: {type(error).__name__}: {error}.", self.secrets)))
        else:
            self._send([letter for letter in letters if letter is not None])

    def fail(self, failure: Failure) -> None:
        """End the attempt because it could not be prepared."""
        if self._is_lost():
            self._over()
            return
        self._end(outcomes.failed(self.task, self.claim, self._handler, failure, now()))

    # Letters

    def _keeping(self) -> Keeping:
        sent = any(copy.outcome in _MAY_HAVE_GONE or copy.possible_duplicate for copy in self.copies)
        parts = self._parts
        return Keeping(
            self.task, self.claim, parts.writer, parts.archive, parts.renderer, self._is_lost, self.artifacts, sent
        )

    def _letter(self, n: int, draft: Draft, files: list[list[Enclosed]]) -> Letter | None:
        """Return the letter to send, or None if its outcome is known already (its fate is noted)."""
        copy = next((c for c in self.copies if c.n == n), None)
        if copy is not None and copy.recipient != draft.recipient:
            raise TaskError(
                "The task asks for other recipients than at its last attempt",
                f"Letter {n + 1} went to {copy.recipient}, and would now go to {draft.recipient}",
                "Ask for a new task",
            )
        if copy is not None and copy.outcome.final:
            self._fates.append(Fate(copy.recipient, copy.outcome, "refused earlier", earlier=True))
            return None
        if copy is not None and copy.outcome is Outcome.UNCERTAIN and self._is_held(copy.uncertain):
            self._fates.append(Fate(copy.recipient, copy.outcome, hold=True, ends=copy.uncertain))
            return None
        wire, make, size = draft.wire or b"", None, 0
        stored = copy.wire if copy is not None else None
        opened = self._parts.seal.open(stored, self.task.id) if stored is not None else b""
        message = self._whole(draft, files)
        if stored is not None and not in_pieces(opened):
            wire = opened
        elif stored is not None:
            make, size = partial(self._again, opened), len(opened)
        elif message is not None:
            make = partial(self._make, message)
        if message is not None:
            size = max(size, size_of(message))
        return Letter(
            task_id=self.task.id,
            claim=self.claim,
            attempt=self.task.attempt,
            n=n,
            sender=draft.sender,
            recipient=draft.recipient,
            message_id=draft.message_id,
            subject=draft.subject,
            wire=wire,
            stored=stored is not None,
            expires_at=self.task.expires_at,
            secrets=self.secrets,
            urgent=self.task.lane == "urgent",
            make=make,
            size=size,
            kept=self.enclosed,
            uncertain=copy.uncertain if copy is not None else 0,
        )

    def _is_held(self, ends: int) -> bool:
        """Return whether a letter that has ended uncertain so often waits for a person."""
        return self._handler.on_uncertain == "hold" or ends >= outcomes.MOST_UNCERTAIN

    def _whole(self, draft: Draft, files: list[list[Enclosed]]) -> Message | None:
        """Return the message of a letter that is not made yet, with the documents that go with it."""
        if draft.message is None:
            return None
        own = [file for file in draft.message.attachments if isinstance(file, Enclosed)]
        enclosed = told_apart([*own, *(file for n in draft.documents for file in files[n])])
        return dataclasses.replace(draft.message, attachments=enclosed)

    def _make(self, message: Message) -> Made:
        self._look_before_making()
        return made(message, self._parts.seal, self.task.id, self.enclosed, store=True)

    def _again(self, stored: bytes) -> Made:
        self._look_before_making()

        def file(sha256: str) -> bytes | None:
            with self._parts.writer.ledger.read() as connection:
                return deliveries.enclosure(connection, self.task.id, sha256)

        return made_again(stored, self._parts.seal, self.task.id, file)

    def _look_before_making(self) -> None:
        """Return if the letter may go still: it has waited for those before it.

        Raises:
            LateWriter: the task was cancelled, or another worker has it.
            StandsStill: mail stands still meanwhile.
        """
        if self._is_lost():
            raise LateWriter(f"The task {self.task.id} was cancelled, or another worker has taken it over")
        if reason := self._parts.lane.reason_to_stop(self.task.id):
            raise StandsStill(reason)

    def _send(self, letters: list[Letter]) -> None:
        if not letters:
            self._end(self._delivered(self._fates))
            return
        self._waiting = len(letters)
        self._alone = len(letters) == 1
        if self.task.lost:  # a suspect has proved its innocence; the others do when a letter is marked
            self._parts.writer.submit(lambda c: deliveries.say_sending(c, self.task.id, self.task.attempt))
        for letter in letters:
            reason = self._parts.lane.reason_to_wait(self.task.id)
            if reason:  # the lane has stopped since the batch began: nobody signs in again and again
                self._refused = True
                self._one_less(Fate(letter.recipient, Outcome.DEFERRED, reason, counts=False, waits=STOOD_STILL))
            else:
                self._parts.dispatch.send(letter, self._recorder(letter), partial(self._sent, letter))

    def _recorder(self, letter: Letter) -> Callable[[Connection, Reply], Ending | None]:
        def then(connection: Connection, reply: Reply) -> Ending | None:
            # Runs inside the commit that records the reply. A task of one letter ends in that same commit.
            # The reason is for everybody to see; who was written to is not.
            reason = reply.text.replace(letter.recipient, "the recipient")
            self._refused = self._refused or reply.ours
            self._waits[letter.n] = self._parts.lane.hear(connection, self.task.id, reply, reason)
            if not self._alone:
                return None
            self._ending = self._within_means(self._delivered([*self._fates, self._fate(letter, reply)]))
            return self._ending

        return then

    def _fate(self, letter: Letter, reply: Reply) -> Fate:
        return Fate(
            letter.recipient,
            reply.outcome,
            reply.words,
            hold=reply.outcome is Outcome.UNCERTAIN and self._is_held(letter.uncertain + 1),
            counts=not self._waits.get(letter.n),
            waits=self._waits.get(letter.n, ""),
            ends=letter.uncertain + 1,
        )

    def _delivered(self, fates: list[Fate]) -> Ending:
        # What only sends waits in its lane; a report would be made again each second.
        soon = (self._parts.lane.stopped or self._refused) and self.task.lane in SENDING
        return outcomes.delivered(
            self.task, self.claim, self._handler, fates, now(), *self._note, patience=SECOND if soon else TRIAL
        )

    def _sent(self, letter: Letter, reply: Reply | None, error: BaseException | None) -> None:
        if reply is not None:
            self._one_less(self._fate(letter, reply), recorded=True)
        elif isinstance(error, Expired):
            self._end(outcomes.expired(self.task, self.claim, now()))
        elif isinstance(error, LateWriter):
            self._over()
        elif isinstance(error, StandsStill):
            self._one_less(Fate(letter.recipient, Outcome.DEFERRED, error.reason, counts=False, waits=STOOD_STILL))
        else:
            words = str(error) if isinstance(error, StewardError) else f"{type(error).__name__}: {error}"
            task_log.unrecorded(self.task, "a letter", words)
            self._one_less(Fate(letter.recipient, Outcome.DEFERRED, words))

    def _one_less(self, fate: Fate, *, recorded: bool = False) -> None:
        with self._lock:
            last = self._waiting == 1
            self._waiting -= 1
            self._fates.append(fate)
        if not last:
            return
        if recorded and self._alone:
            task_log.ended(self.task, self._ending)
            self._over()
        else:
            self._end(self._delivered(self._fates))

    def _end(self, ending: Ending) -> None:
        def ended(_: None, error: BaseException | None) -> None:
            if error is None:
                task_log.ended(self.task, ending)
            else:
                task_log.unrecorded(self.task, "the end", error)
            self._over()

        self._parts.writer.post(attempts.end_each, self._within_means(ending), ended)

    def _within_means(self, ending: Ending) -> Ending:
        """Return `ending` as this engine can keep it."""
        return ending if self._parts.retries_later else outcomes.never_later(ending)

    def _over(self) -> None:
        with self._lock:
            again, self._is_over = self._is_over, True
        if not again:
            self._tell_over(self.task)
