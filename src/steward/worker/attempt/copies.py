"""Decides which letters of a task are to be sent in an attempt, and notes in the copy of each what became of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from steward.errors import TaskError
from steward.mail.draft import LARGEST_STORED, ComposedMessage, made, made_again
from steward.mail.message.message import Message, MessageAttachment
from steward.mail.transport import Phase, Reply
from steward.model.declaration.handler import Handler
from steward.model.results import Outcome
from steward.plugins.run_result import EmailDraft
from steward.storage.database.ledger import Ledger
from steward.storage.encryption import Seal
from steward.storage.tasks import deliveries
from steward.storage.tasks.attempts import BegunAttempt
from steward.storage.tasks.deliveries import StoredDelivery
from steward.worker.attempt import outcomes
from steward.worker.attempt.artifacts import told_apart
from steward.worker.attempt.outcomes import DeliveryOutcome

_MAY_HAVE_GONE = (Outcome.ACCEPTED, Outcome.CAPTURED, Outcome.UNCERTAIN)


def to_send(
    begun: BegunAttempt, claim: str, handler: Handler, drafts: Sequence[EmailDraft], seal: Seal
) -> tuple[list[tuple[StoredDelivery, bytes | None]], list[DeliveryOutcome]]:
    """Return the copies that are to be sent, each with what is kept of it for a repeat, and the fates that are known.

    Raises:
        TaskError: the task asks for other recipients than at its last attempt.
    """
    task, earlier = begun.task, {copy.n: copy for copy in begun.copies}
    found: list[tuple[StoredDelivery, bytes | None]] = []
    fates: list[DeliveryOutcome] = []
    for n, draft in enumerate(drafts):
        last = earlier.get(n)
        if last is not None and last.recipient != draft.recipient:
            raise TaskError(
                "The task asks for other recipients than at its last attempt",
                f"Letter {n + 1} went to {last.recipient}, and would now go to {draft.recipient}",
                "Ask for a new task",
            )
        if last is not None and last.outcome.final:
            fates.append(DeliveryOutcome(last.recipient, last.outcome, "refused earlier", earlier=True))
            continue
        if last is not None and last.outcome is Outcome.UNCERTAIN and outcomes.is_held(handler, last.uncertain):
            fates.append(DeliveryOutcome(last.recipient, last.outcome, hold=True, ends=last.uncertain))
            continue
        stored = seal.open(last.wire, task.id) if last is not None and last.wire is not None else None
        uncertain = last.uncertain if last is not None else 0
        copy = StoredDelivery(task.id, claim, n, draft.recipient, draft.message_id, draft.subject, task.attempt)
        copy.uncertain = uncertain
        found.append((copy, stored))
    return found, fates


def some_sent(copies: Sequence[StoredDelivery]) -> bool:
    """Return whether one of `copies` may have gone out."""
    return any(copy.outcome in _MAY_HAVE_GONE or copy.possible_duplicate for copy in copies)


def whole(draft: EmailDraft, files: Sequence[Sequence[MessageAttachment]]) -> Message | None:
    """Return the message of a letter that is not made yet, with the documents that go with it."""
    if draft.message is None:
        return None
    own = [file for file in draft.message.attachments if isinstance(file, MessageAttachment)]
    enclosed = told_apart([*own, *(file for n in draft.documents for file in files[n])])
    return dataclasses.replace(draft.message, attachments=enclosed)


def note(copy: StoredDelivery, reply: Reply) -> None:
    """Note in `copy` what the server has said to it, and where in the session if that was before the end."""
    copy.outcome, copy.code = reply.outcome, reply.code
    copy.reply = reply.text if reply.phase in (Phase.DONE, Phase.DOT) else f"{reply.text} ({reply.phase})"


def made_of(
    begun: BegunAttempt, stored: bytes | None, message: Message | None, seal: Seal, ledger: Ledger
) -> ComposedMessage:
    """Return a letter that was not made ahead: again from what is `stored` of it in pieces, or else of its message."""

    def file(sha256: str) -> bytes | None:
        with ledger.read() as connection:
            return deliveries.enclosure(connection, begun.task.id, sha256)

    if stored is not None:
        return made_again(stored, seal, begun.task.id, file)
    assert message is not None  # noqa: S101  # where nothing is stored there is what it is made of
    return made(message, seal, begun.task.id, begun.enclosed, store=True)


def to_keep(task_id: str, wire: bytes, stored: bytes | None, draft: EmailDraft, seal: Seal) -> bytes | None:
    """Return what is to be kept of a letter for a repeat, sealed, unless it is kept already or was made just now."""
    keeps = stored is None and draft.message is None and len(wire) <= LARGEST_STORED
    return seal.close(wire, task_id) if keeps else None
