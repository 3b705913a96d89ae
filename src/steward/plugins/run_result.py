"""What a task asks for once its handler has run, or why it could not be had.

Named tuples: they come out of a child process in a quarter of the time of dataclasses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from steward.mail.message.message import Message
    from steward.model.states import Task

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PDF = "application/pdf"


class HandlerRequest(NamedTuple):
    """One task to prepare."""

    task_id: str
    name: str
    payload: str
    secrets: list[str]
    created_at: int
    claim: str = ""
    dated_at: int = 0
    attempt: int = 1
    suspect: bool = False
    """Whether a process has died in which this task was performed: the begin of its handler is noted on disk."""

    @classmethod
    def of(cls, task: Task, claim: str, secrets: Sequence[str]) -> HandlerRequest:
        """Return what is asked for an attempt at `task`."""
        how = (claim, task.date, task.attempt, bool(task.lost))
        return cls(task.id, task.name, task.payload, list(secrets), task.created_at, *how)

    @property
    def date(self) -> int:
        """The moment that its letters and documents bear: when it was due first, whenever it is performed."""
        return self.dated_at or self.created_at


class ReportDocument(NamedTuple):
    """A report ready to be laid out: its HTML, and the files of its tables, in the task's working folder.

    `name` is the file name of its PDF; `files` are name, media type and place of the others.
    """

    name: str
    title: str
    html: Path | None
    files: tuple[tuple[str, str, Path], ...]
    kept: bool


class EmailDraft(NamedTuple):
    """A letter: finished bytes, or the message, to be made when it is sent, and the documents to attach to it then."""

    sender: str
    recipient: str
    message_id: str
    subject: str
    wire: bytes | None
    message: Message | None = None
    documents: tuple[int, ...] = ()


class HandlerResult(NamedTuple):
    """Everything a task asks for."""

    letters: tuple[EmailDraft, ...] = ()
    documents: tuple[ReportDocument, ...] = ()
    note: str | None = None
    figures: str | None = None
    """Those of the note, as the ledger keeps them: a JSON object."""


class HandlerFailure(NamedTuple):
    """Why a task could not be prepared. `final`: a retry cannot help. `crashed`: it ended or hung its process."""

    words: str
    final: bool = False
    crashed: int = 0


RunResult = HandlerResult | HandlerFailure
