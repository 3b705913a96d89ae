"""What maintenance handlers may do to the installation itself; asked for by annotation (`operations: Operations`)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from steward.errors import StewardError, StorageUnavailable
from steward.installation import backup, erasure, secret_key
from steward.model.content import Secret
from steward.storage.archive import checksum
from steward.storage.maintenance import retention as upkeep
from steward.storage.tasks import artifacts, search
from steward.system.clock import micros, present

if TYPE_CHECKING:
    from steward.installation.container import Steward


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """What an integrity check has looked at, and each problem in words."""

    tasks: int
    files: int
    problems: tuple[str, ...]


class Operations:
    """The installation's own housekeeping. Every method returns figures, and raises `StewardError` in words."""

    injected_as: ClassVar[str] = "operations"

    def __init__(self, steward: Steward) -> None:
        self._steward = steward

    def integrity(self) -> IntegrityReport:
        """Check the ledger's rules, every kept file against its checksum, and that the source answers."""
        with self._steward.ledger.read() as connection:
            problems = [f"{b.count} times broken: {b.rule}" for b in upkeep.breaches(connection)]
            count = sum(search.counts(connection).values())
            files = artifacts.every(connection)
        for file in files:
            try:
                sound = checksum(self._steward.archive, file.location) == file.sha256
            except StorageUnavailable:
                problems.append(f"a file of task {file.task_id} is missing: {file.location}")
            else:
                if not sound:
                    problems.append(f"a file of task {file.task_id} was altered: {file.location}")
        if self._steward.source is not None:
            try:
                self._steward.source.check()
            except StewardError as error:
                problems.append(str(error))
        return IntegrityReport(count, len(files), tuple(problems))

    def backup(self, to: Path | None = None, keep: int | None = None) -> backup.Backup:
        """Make a copy, prove that it can be restored, and delete all but the newest `keep` of them.

        Without `to` and `keep`, the settings say where and how many.
        """
        settings = self._steward.settings
        target = to or settings.backup_dir or settings.data_dir / "backups"
        keep = settings.backups_kept if keep is None else keep
        # Not `settings.secret_key`: a handler's process is given the key there, wherever it is kept.
        kept = settings.data_dir / secret_key.FILE
        made = backup.make(self._steward.ledger, self._steward.archive, kept, target, present(), key=settings.key)
        verified = backup.verify(made, settings.key)
        for old in sorted(target.glob("steward-*Z"))[: -max(keep, 1)]:
            shutil.rmtree(old)
        return verified

    @property
    def alert_addresses(self) -> tuple[Secret, ...]:
        """The addresses that alerts go to beside letters, as the settings name them; a task names only their number."""
        return tuple(Secret(url) for url in self._steward.settings.alert_urls.split())

    @property
    def retention(self) -> timedelta | None:
        """How long finished tasks are kept, by the settings; None means for ever."""
        days = self._steward.settings.retention_days
        return timedelta(days=days) if days else None

    def purge(self, older_than: timedelta) -> int:
        """Delete tasks that ended longer ago than `older_than`, with their files; return how many."""
        before = micros(present() - older_than)
        deleted = 0
        while True:
            with self._steward.ledger.read() as connection:
                ids = upkeep.finished_before(connection, before)
            if not ids:
                return deleted
            # Rows first: a file without a row is only room lost, a row without its file would be a broken promise.
            self._steward.ledger.apply(lambda c, ids=ids: upkeep.delete(c, ids))  # type: ignore[misc]
            for task_id in ids:
                self._steward.archive.remove(task_id)
            deleted += len(ids)

    def forget(self, address: str) -> int:
        """Remove a person from everything kept here (see `erasure.erase`); return how many tasks that were.

        Raises:
            StateConflict: a task for this person is still open.
        """
        return erasure.erase(self._steward, address).tasks


def operations_for(steward: Steward) -> Operations:
    """Return the operations of an installation."""
    return Operations(steward)
