"""Copies that are whole or not there, and a proof that finds whatever is wrong with one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from steward import backup
from steward.app import Steward
from steward.errors import ConfigurationError, StateConflict, StorageUnavailable
from steward.operations import operations_for
from steward.settings import load
from steward.trial import Trial

TRIALS = Path(__file__).parent.parent / "journeys" / "plugins"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An installation with a report, a letter, and a task that waits."""
    steward = Steward(load(data_dir=tmp_path_factory.mktemp("data"), plugins_dir=TRIALS, free_space_mb=0))
    trial = Trial(steward)
    trial.service.enqueue("statement", rows=5)
    trial.service.enqueue("letter", to="ada@example.org")
    trial.service.schedule("nothing", datetime.now(UTC) + timedelta(days=1))
    yield steward
    trial.close()


@pytest.fixture
def made(filled, tmp_path):
    return operations_for(filled).backup(tmp_path / "backups")


def test_a_copy_holds_everything_and_can_be_restored(filled, made):
    assert (made.tasks, made.files) == (3, 1)
    assert sorted(p.name for p in made.folder.iterdir()) == ["archive", "backup.json", "ledger.sqlite3", "secret.key"]
    assert backup.verify(made.folder) == made
    restored = Steward(load(data_dir=made.folder, plugins_dir=TRIALS, free_space_mb=0))
    assert [t.name for t in restored.service.find().tasks] == ["nothing", "letter", "statement"]
    assert operations_for(restored).integrity().problems == ()
    restored.close()


def test_nobody_else_may_read_it(made):
    assert made.folder.stat().st_mode & 0o077 == 0
    assert (made.folder / "secret.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["ledger.sqlite3", "secret.key", "archive"])
@pytest.mark.parametrize("how", ["altered", "lost"])
def test_whatever_is_altered_or_lost_is_found(made, name, how):
    path = made.folder / name
    if path.is_dir():
        path = next(p for p in path.rglob("*") if p.is_file())
    path.chmod(0o600)
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ConfigurationError, match="is not whole"):
        backup.verify(made.folder)


def test_a_folder_that_is_no_backup_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="is not a backup"):
        backup.verify(tmp_path)


def test_a_copy_of_a_ledger_that_lacks_a_report_is_not_made(filled, tmp_path):
    kept = next(p for p in (filled.settings.data_dir / "archive").rglob("*") if p.is_file())
    moved = kept.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(StorageUnavailable, match="archived file is missing"):
            operations_for(filled).backup(tmp_path / "backups")
        assert list((tmp_path / "backups").iterdir()) == [], "no half copy is left"
        assert any("is missing" in problem for problem in operations_for(filled).integrity().problems)
    finally:
        moved.rename(kept)


def test_only_the_newest_copies_are_kept(filled, tmp_path):
    for day in (1, 2, 3):
        key = filled.settings.data_dir / "secret.key"
        backup.make(filled.ledger, filled.archive, key, tmp_path, datetime(2026, 1, day, tzinfo=UTC))
    made = operations_for(filled).backup(tmp_path, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["steward-20260103T000000Z", made.folder.name]


def test_a_file_that_was_altered_is_found_by_the_integrity_check(filled):
    kept = next(p for p in (filled.settings.data_dir / "archive").rglob("*") if p.is_file())
    kept.chmod(0o600)
    content = kept.read_bytes()
    kept.write_bytes(content + b" ")
    assert any("was altered" in problem for problem in operations_for(filled).integrity().problems)
    kept.write_bytes(content)
    assert operations_for(filled).integrity().problems == ()


def test_a_person_is_forgotten_only_when_nothing_is_open(tmp_path):
    steward = Steward(load(data_dir=tmp_path / "data", plugins_dir=TRIALS, free_space_mb=0))
    trial = Trial(steward)
    task_id = trial.service.schedule("letter", datetime.now(UTC) + timedelta(days=1), to="ada@example.org")
    with pytest.raises(StateConflict, match="still open"):
        operations_for(steward).forget("ada@example.org")
    trial.service.cancel(task_id)
    assert operations_for(steward).forget("ada@example.org") == 1
    assert trial.service.get_status(task_id).payload == {}
    trial.close()
