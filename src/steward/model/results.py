"""What happened: deliveries, artifacts, and the result of a task as every door shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from steward.model.figures import Figure


class Outcome(StrEnum):
    """What is known of one recipient's copy. `accepted` is by the mail server; nobody can know "delivered"."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"
    SUPPRESSED = "suppressed"
    CAPTURED = "captured"
    UNSENT = "unsent"

    @property
    def final(self) -> bool:
        """Whether nothing more will be tried for this recipient."""
        return self not in (Outcome.PENDING, Outcome.DEFERRED, Outcome.UNCERTAIN)

    def when_over(self) -> Outcome:
        """Return what this is once its task has ended, however it did: what was put off will not be sent any more."""
        return Outcome.UNSENT if self in (Outcome.PENDING, Outcome.DEFERRED) else self


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient's copy of one message."""

    n: int
    to: str
    outcome: Outcome
    message_id: str
    subject: str = ""
    code: int | None = None
    reply: str = ""
    possible_duplicate: bool = False
    attempt: int = 0
    at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the delivery as the HTTP interface shows it."""
        return {
            "to": self.to,
            "outcome": self.outcome.value,
            "code": self.code,
            "reply": self.reply,
            "message_id": self.message_id,
            "subject": self.subject,
            "possible_duplicate": self.possible_duplicate,
            "at": iso(self.at),
        }


@dataclass(frozen=True, slots=True)
class Artifact:
    """One stored file of a task. `sha256` is of its bytes, `source` of what it was made from (empty if nobody knows);
    `location` is the archive's own name for it, `boxes` the scripts that stand as boxes in it.
    """

    n: int
    name: str
    media_type: str
    size: int
    sha256: str
    location: str = ""
    source: str = ""
    boxes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the artifact as the HTTP interface shows it."""
        return {
            "n": self.n,
            "name": self.name,
            "media_type": self.media_type,
            "size": self.size,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a task."""

    number: int
    worker: str
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str = "running"
    error: str = ""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task as it stands: what was asked, what has happened, and why it is where it is."""

    id: str
    name: str
    state: str
    attempt: int
    created_at: datetime
    due_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    progress: float | None = None
    progress_text: str = ""
    error: str | None = None
    note: str | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    lane: str = ""
    priority: int = 0
    requested_by: str = ""
    owner_id: str = ""
    worker: str | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    deliveries: tuple[Delivery, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to the task by itself."""
        return self.state in ("succeeded", "failed", "cancelled", "expired", "interrupted")

    def as_json(self) -> dict[str, Any]:
        """Return the task as the HTTP interface and `--json` show it; times are ISO 8601 in UTC."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "attempt": self.attempt,
            "created_at": iso(self.created_at),
            "due_at": iso(self.due_at),
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
            "expires_at": iso(self.expires_at),
            "progress": self.progress,
            "progress_text": self.progress_text,
            "error": self.error,
            "note": self.note,
            "figures": self.figures,
            "deliveries": [d.as_json() for d in self.deliveries],
            "artifacts": [a.as_json() for a in self.artifacts],
        }


def iso(moment: datetime | None) -> str | None:
    """Return `moment` as ISO 8601 in UTC with a final Z, or None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
