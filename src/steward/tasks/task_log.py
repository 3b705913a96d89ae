"""Logs what becomes of each task: that it was accepted, and how each attempt has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from steward.model.states import Task
from steward.storage.tasks.attempts import AttemptEnd
from steward.system.log_line import about

log = logging.getLogger("steward.tasks")


def accepted(name: str, ids: Iterable[str], *, joined: bool = False) -> None:
    """Log that the tasks `ids` of the handler `name` are on disk, or `joined` a transaction of the caller's."""
    if log.isEnabledFor(logging.INFO):
        words = "accepted, if the transaction that it joined is committed" if joined else "accepted"
        for task_id in ids:
            log.info(words, extra=about(task_id, name))


def cancelled(task_id: str, name: str, by: str) -> None:
    """Log that somebody has cancelled a task."""
    log.info("cancelled by %s", by, extra=about(task_id, name))


def ended(task: Task, ending: AttemptEnd | None) -> None:
    """Log how an attempt has ended, as the ledger has it."""
    if ending is None:
        return
    words = f"{ending.state}: {ending.error}" if ending.error else str(ending.state)
    log.info("%s", words, extra=_about(task))


def failed(task: Task, trace: str) -> None:
    """Log what went wrong where nobody foresaw it."""
    log.error("it failed: %s", trace, extra=_about(task))


def unrecorded(task: Task, what: str, error: object) -> None:
    """Log that `what` of a task could not be recorded, and why."""
    log.warning("%s could not be recorded: %s", what, error, extra=_about(task))


def _about(task: Task) -> dict[str, object]:
    return about(task.id, task.name, task.attempt)
