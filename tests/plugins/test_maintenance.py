"""The daily jobs say what they did, and what they found wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from steward.installation import backup
from steward.installation.settings import load
from steward.model.results import TaskResult
from steward.storage.database.schema.tables import artifacts, tasks
from steward.system.clock import SECOND, now
from steward.worker.dry_run import DryRun, apart, trial

DAY = 24 * 3600 * SECOND


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., DryRun]]:
    opened: list[Any] = []

    def start(**settings: Any) -> DryRun:
        opened.append(trial(apart(load(**settings), tmp_path / "data")))
        made: DryRun = opened[-1].__enter__()
        return made

    yield start
    for each in opened:
        each.__exit__(None, None, None)


def run(place: DryRun, name: str, **payload: Any) -> TaskResult:
    return place.service.get_status(place.service.enqueue(name, payload))


def keep_file(place: DryRun, task_id: str) -> Path:
    """Keep a file for a task, as its handler would have."""
    stored = place.steward.archive.store(task_id, "report.csv", BytesIO(b"figures"))
    facts = {"size": stored.size, "sha256": stored.sha256, "location": stored.location, "created_at": now()}
    row = {"task_id": task_id, "n": 1, "name": "report.csv", "media_type": "text/csv", **facts}
    place.steward.ledger.apply(lambda c: c.execute(artifacts.insert().values(**row)))
    return place.steward.archive.path(stored.location)


def test_each_has_a_daily_schedule(start: Callable[..., DryRun]) -> None:
    handlers = start().steward.registry.handlers
    crons = {name: handlers[name].schedules[0].cron for name in ("integrity_check", "backup", "purge")}
    assert len(set(crons.values())) == 3
    assert all(cron.endswith("* * *") for cron in crons.values())


def test_a_sound_installation_passes_the_check(start: Callable[..., DryRun]) -> None:
    place = start()
    keep_file(place, run(place, "purge").id)
    assert run(place, "integrity_check").note == "2 tasks and 1 file checked, no problem found."


def test_an_altered_file_fails_the_check_by_name(start: Callable[..., DryRun]) -> None:
    place = start()
    task = run(place, "purge")
    keep_file(place, task.id).write_bytes(b"other figures")
    found = run(place, "integrity_check")
    assert found.state == "failed"
    assert f"a file of task {task.id} was altered" in found.error


def test_a_backup_is_kept_where_and_as_often_as_the_settings_say(start: Callable[..., DryRun], tmp_path: Path) -> None:
    place = start(backup_dir=tmp_path / "elsewhere", backups_kept=2)
    for old in ("steward-20200101T000000Z", "steward-20200102T000000Z"):
        (tmp_path / "elsewhere" / old).mkdir(parents=True)
    done = run(place, "backup")
    assert done.state == "succeeded", done.error
    kept = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    assert kept[0] == "steward-20200102T000000Z"
    assert len(kept) == 2
    assert kept[1] in done.note
    assert backup.verify(tmp_path / "elsewhere" / kept[1], place.steward.settings.key).tasks == 1


def test_purge_follows_the_settings_and_deletes_the_files_too(start: Callable[..., DryRun]) -> None:
    place = start(retention_days=30)
    old, recent = run(place, "purge"), run(place, "purge")
    file = keep_file(place, old.id)
    ended = tasks.update().where(tasks.c.id == old.id).values(finished_at=now() - 31 * DAY)
    place.steward.ledger.apply(lambda c: c.execute(ended))
    assert run(place, "purge").note == "1 task deleted that ended more than 30 days ago."
    assert not file.exists()
    with place.steward.ledger.read() as connection:
        left = set(connection.scalars(sa.select(tasks.c.id)))
    assert old.id not in left
    assert recent.id in left


def test_purge_can_be_told_to_keep_everything(start: Callable[..., DryRun]) -> None:
    assert "for ever" in run(start(retention_days=0), "purge").note
