"""Housekeeping as ordinary tasks: check the installation, back it up, delete what is old."""

from datetime import timedelta

from pydantic import BaseModel, Field

from steward import NO_RETRY, Handler, Note, Rejected, handler, hookimpl
from steward.installation.maintenance import Operations


class IntegrityCheck(BaseModel):
    """Nothing to choose."""


class BackupOrder(BaseModel):
    """How many copies to keep."""

    keep: int | None = Field(
        None, ge=1, le=366, title="Copies to keep", description="Older ones are deleted. Empty: as the settings say."
    )


class PurgeOrder(BaseModel):
    """What is old."""

    older_than_days: int | None = Field(
        None,
        ge=1,
        le=36500,
        title="Older than (days)",
        description="Finished tasks that ended longer ago are deleted. Empty: as the settings say.",
    )


@handler(
    example=IntegrityCheck(),
    lane="jobs",
    scope="operate",
    time_limit=3600,
    retry=NO_RETRY,
    important=False,
    schedules=("15 3 * * *",),
)
def integrity_check(order: IntegrityCheck, operations: Operations) -> Note:
    """Check the ledger's rules, every kept file against its checksum, and that the source answers."""
    found = operations.integrity()
    if found.problems:
        raise Rejected(
            f"{_counted(len(found.problems), 'problem')} found",
            "; ".join(found.problems[:10]),
            "See docs/operations/maintenance-and-alerts.md",
        )
    return Note(
        f"{_counted(found.tasks, 'task')} and {_counted(found.files, 'file')} checked, no problem found.",
        {"tasks": found.tasks, "files": found.files},
    )


@handler(
    example=BackupOrder(), lane="jobs", scope="operate", time_limit=3600, important=False, schedules=("45 3 * * *",)
)
def backup(order: BackupOrder, operations: Operations) -> Note:
    """Make a copy of the installation and prove that it can be restored."""
    made = operations.backup(keep=order.keep)
    return Note(
        f"{made.folder.name}: {_counted(made.tasks, 'task')} and {_counted(made.files, 'file')}, "
        f"{made.size / 1e6:,.1f} MB, verified"
        + (" with its key." if made.key == "inside" else "; its key is kept apart, in STEWARD_SECRET_KEY."),
        {"tasks": made.tasks, "files": made.files, "bytes": made.size},
    )


@handler(
    example=PurgeOrder(), lane="jobs", scope="operate", time_limit=3600, important=False, schedules=("30 4 * * *",)
)
def purge(order: PurgeOrder, operations: Operations) -> Note:
    """Delete tasks that ended long ago, with their files."""
    age = operations.retention if order.older_than_days is None else timedelta(days=order.older_than_days)
    if age is None:
        return Note("Nothing deleted: STEWARD_RETENTION_DAYS=0 keeps finished tasks for ever.", {"tasks": 0})
    deleted = operations.purge(age)
    return Note(
        f"{_counted(deleted, 'task')} deleted that ended more than {_counted(age.days, 'day')} ago.", {"tasks": deleted}
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the three jobs."""
    return [integrity_check, backup, purge]
