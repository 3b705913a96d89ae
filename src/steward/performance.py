"""One attempt at one task: its documents laid out and kept, its letters sent, its ending recorded."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from traceback import format_exception

import sqlalchemy as sa

from steward import endings
from steward.archive import Archive
from steward.clock import moment, now
from steward.compose import compose
from steward.dispatch import Dispatch, Expired, Letter
from steward.endings import Fate
from steward.errors import LateWriter, RenderLimitExceeded, StewardError, StorageUnavailable, TaskError
from steward.handlers import Handler
from steward.ledger import artifacts, attempts, deliveries
from steward.ledger.attempts import Ending
from steward.ledger.writer import GroupWriter
from steward.prepared import PDF, Document, Draft, Failure, Prepared
from steward.renderer import Layout, Renderer
from steward.results import Artifact, Outcome
from steward.sealing import Seal
from steward.tasks import Task
from steward.transport import Reply
from steward.values import Attachment, mask

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every performance of a worker shares."""

    writer: GroupWriter
    dispatch: Dispatch
    seal: Seal
    archive: Archive
    renderer: Renderer
    lane_stopped: Callable[[sa.Connection, str], None]
    stopped: Callable[[], str]
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
            policy = dataclasses.replace(handler.retry, delays=parts.retry_delays, then=parts.retry_delays[-1])
            handler = dataclasses.replace(handler, retry=policy)
        self._handler = handler
        self.copies: list[deliveries.Copy] = []
        self.artifacts: dict[str, Artifact] = {}
        self.secrets: tuple[str, ...] = ()
        self.has_documents = False
        self._is_over = False
        self._lock = threading.Lock()
        self._fates: list[Fate] = []
        self._waiting = 0
        self._alone = False
        self._note: str | None = None

    def go(self, prepared: Prepared) -> None:
        """Lay out, keep, and send what was prepared. Raises nothing."""
        self.has_documents = bool(prepared.documents)
        self._note = prepared.note
        try:
            files = [self._produce(n, document) for n, document in enumerate(prepared.documents)]
            letters = [self._letter(n, draft, files) for n, draft in enumerate(prepared.letters)]
        except RenderLimitExceeded as error:
            self.fail(Failure(str(error), crashed=1))
        except StorageUnavailable as error:
            self.fail(Failure(str(error)))
        except LateWriter:
            self._over()
        except StewardError as error:
            self.fail(Failure(str(error), final=isinstance(error, TaskError)))
        except Exception as error:
            log.error("the task %s failed: %s", self.task.id, mask("".join(format_exception(error)), self.secrets))
            self.fail(Failure(mask(f"The task failed: {type(error).__name__}: {error}.", self.secrets)))
        else:
            self._send([letter for letter in letters if letter is not None])

    def fail(self, failure: Failure) -> None:
        """End the attempt because it could not be prepared."""
        if self._is_lost():
            self._over()
            return
        self._end(endings.failed(self.task, self.claim, self._handler, failure, now()))

    # Documents

    def _produce(self, n: int, document: Document) -> list[tuple[str, str, Path]]:
        """Return the document's files (name, media type, path), the kept ones archived and recorded."""
        files = list(document.files)
        if document.html is not None:
            files.insert(0, (f"{document.name}.pdf", PDF, self._pdf(document, document.html)))
        if not document.kept:
            return files
        kept = []
        for offset, (name, media_type, path) in enumerate(files):
            if name not in self.artifacts:
                stored = self._parts.archive.store(self.task.id, name, path)
                artifact = Artifact(n * 100 + offset + 1, name, media_type, stored.size, stored.sha256, stored.location)
                if not self._parts.writer.apply(
                    lambda c, a=artifact: artifacts.record(c, self.task.id, self.claim, a, now())  # type: ignore[misc]
                ):
                    raise LateWriter(f"The task {self.task.id} was cancelled, or another worker has taken it over")
                self.artifacts[name] = artifact
            kept.append((name, media_type, self._parts.archive.path(self.artifacts[name].location)))
        return kept

    def _pdf(self, document: Document, html: Path) -> Path:
        kept = self.artifacts.get(f"{document.name}.pdf")
        if kept is not None:  # stored by an earlier attempt
            return self._parts.archive.path(kept.location)
        self._parts.writer.submit(
            lambda c: attempts.say_progress(c, self.task.id, self.claim, 0.7, "Laying out the document")
        )
        target = html.with_suffix(".pdf")
        layout = Layout(html.read_text(encoding="utf-8"), document.title, moment(self.task.created_at))
        self._parts.renderer.render(layout, target, cancelled=self._is_lost)
        return target

    # Letters

    def _letter(self, n: int, draft: Draft, files: list[list[tuple[str, str, Path]]]) -> Letter | None:
        """Return the letter to send, or None if its outcome is known already (its fate is noted)."""
        copy = next((c for c in self.copies if c.n == n), None)
        if copy is not None and copy.recipient != draft.recipient:
            raise TaskError(
                "The task asks for other recipients than at its last attempt",
                f"Letter {n + 1} went to {copy.recipient}, and would now go to {draft.recipient}",
                "Ask for a new task",
            )
        if copy is not None and copy.outcome.final:
            self._fates.append(Fate(copy.recipient, copy.outcome, "refused earlier"))
            return None
        if copy is not None and copy.outcome is Outcome.UNCERTAIN and self._handler.on_uncertain == "hold":
            self._fates.append(Fate(copy.recipient, copy.outcome, hold=True))
            return None
        stored = copy is not None and copy.wire is not None
        if copy is not None and copy.wire is not None:
            wire = self._parts.seal.open(copy.wire, self.task.id)
        elif draft.wire is not None:
            wire = draft.wire
        else:
            assert draft.message is not None  # noqa: S101  # a draft has one or the other
            attached = [
                Attachment(name, path.read_bytes(), media_type.partition(";")[0])
                for index in draft.documents
                for name, media_type, path in files[index]
            ]
            message = draft.message
            wire = compose(dataclasses.replace(message, attachments=(*message.attachments, *attached)))
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
            stored=stored,
            expires_at=self.task.expires_at,
            secrets=self.secrets,
            urgent=self.task.lane == "urgent",
        )

    def _send(self, letters: list[Letter]) -> None:
        if not letters:
            self._end(endings.delivered(self.task, self.claim, self._handler, self._fates, now(), self._note))
            return
        self._waiting = len(letters)
        self._alone = len(letters) == 1
        if self.task.lost:  # a suspect has proved its innocence; the others do when a letter is marked
            self._parts.writer.submit(lambda c: deliveries.say_sending(c, self.task.id, self.task.attempt))
        for letter in letters:
            reason = self._parts.stopped()
            if reason:  # the lane has stopped since the batch began: nobody signs in again and again
                self._one_less(Fate(letter.recipient, Outcome.DEFERRED, reason, counts=False))
            else:
                self._parts.dispatch.send(letter, self._recorder(letter), partial(self._sent, letter))

    def _recorder(self, letter: Letter) -> Callable[[sa.Connection, Reply], Ending | None]:
        def then(connection: sa.Connection, reply: Reply) -> Ending | None:
            # Runs inside the commit that records the reply. A task of one letter ends in that same commit.
            if reply.ours:
                # The reason is for everybody to see; who was written to is not.
                self._parts.lane_stopped(connection, reply.text.replace(letter.recipient, "the recipient"))
            if not self._alone:
                return None
            fates = [*self._fates, self._fate(letter, reply)]
            return self._within_means(endings.delivered(self.task, self.claim, self._handler, fates, now(), self._note))

        return then

    def _fate(self, letter: Letter, reply: Reply) -> Fate:
        return Fate(
            letter.recipient,
            reply.outcome,
            f"{reply.code} {reply.text}" if reply.code else reply.text,
            hold=reply.outcome is Outcome.UNCERTAIN and self._handler.on_uncertain == "hold",
            counts=not reply.ours,
        )

    def _sent(self, letter: Letter, reply: Reply | None, error: BaseException | None) -> None:
        if reply is not None:
            self._one_less(self._fate(letter, reply), recorded=True)
        elif isinstance(error, Expired):
            self._end(endings.expired(self.task, self.claim, now()))
        elif isinstance(error, LateWriter):
            self._over()
        else:
            words = str(error) if isinstance(error, StewardError) else f"{type(error).__name__}: {error}"
            log.error("a letter of %s could not be recorded: %s", self.task.id, words)
            self._one_less(Fate(letter.recipient, Outcome.DEFERRED, words))

    def _one_less(self, fate: Fate, *, recorded: bool = False) -> None:
        with self._lock:
            last = self._waiting == 1
            self._waiting -= 1
            self._fates.append(fate)
        if not last:
            return
        if recorded and self._alone:
            self._over()
        else:
            self._end(endings.delivered(self.task, self.claim, self._handler, self._fates, now(), self._note))

    # Endings

    def _end(self, ending: Ending) -> None:
        def ended(_: None, error: BaseException | None) -> None:
            if error is not None:
                log.warning("the end of %s could not be recorded: %s", self.task.id, error)
            self._over()

        self._parts.writer.post(attempts.end_each, self._within_means(ending), ended)

    def _within_means(self, ending: Ending) -> Ending:
        """Return `ending` as this engine can keep it."""
        return ending if self._parts.retries_later else endings.never_later(ending)

    def _over(self) -> None:
        with self._lock:
            again, self._is_over = self._is_over, True
        if not again:
            self._tell_over(self.task)
