"""Copies that are whole or not there, and a proof that finds whatever is wrong with one."""

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from steward.errors import ConfigurationError, StateConflict, StorageUnavailable
from steward.installation import backup
from steward.installation.container import Steward
from steward.installation.maintenance import operations_for
from steward.installation.settings import load
from steward.worker.dry_run import DryRun

TRIALS = Path(__file__).parent.parent.parent / "journeys" / "plugins"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An installation with a report, a letter, and a task that waits."""
    steward = Steward(load(data_dir=tmp_path_factory.mktemp("data"), plugins_dir=TRIALS, free_space_mb=0))
    trial = DryRun(steward)
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
    modes = {p.stat().st_mode & 0o777 for p in made.folder.rglob("*")}
    assert modes == {0o600, 0o700}


class TestTheKey:
    """A backup is whole with its key, or says that the key is apart; and is proved with it, on whatever machine."""

    OTHER = "another-installation's key: 7f3b91c4e8d2"

    @pytest.fixture
    def install(self, tmp_path):
        opened = []

        def install(**settings):
            steward = Steward(load(data_dir=tmp_path / "data", plugins_dir=TRIALS, free_space_mb=0, **settings))
            opened.append(steward)
            steward.service.enqueue("secret_letter", to="ada@example.org", link="https://example.org/x")
            return steward

        yield install
        for steward in opened:
            steward.close()

    def test_a_handler_s_process_copies_it_though_it_was_given_the_key_as_a_setting(self, install, tmp_path):
        steward = install()
        given = steward.settings.model_copy(update={"secret_key": steward.settings.key.decode()})
        made = operations_for(Steward(given)).backup(tmp_path / "backups")
        assert (made.key, made.sealed, made.lost) == ("inside", 1, 0)
        assert (made.folder / "secret.key").read_bytes() == steward.settings.key

    def test_one_from_a_setting_stays_apart_and_is_needed_for_the_proof(self, install, tmp_path):
        steward = install(secret_key=self.OTHER)
        made = operations_for(steward).backup(tmp_path / "backups")
        assert (made.key, made.sealed) == ("apart", 1)
        assert not (made.folder / "secret.key").exists()
        assert self.OTHER.encode() not in b"".join(p.read_bytes() for p in made.folder.rglob("*") if p.is_file())
        with pytest.raises(ConfigurationError, match="Its key is not in it"):
            backup.verify(made.folder)
        with pytest.raises(ConfigurationError, match="cannot be restored with this key"):
            backup.verify(made.folder, b"k" * 32)
        assert backup.verify(made.folder, self.OTHER.encode()) == made

    def test_an_old_file_beside_the_setting_is_not_taken_for_the_key(self, install, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "secret.key").write_text("the key of years ago, out of use")
        assert operations_for(install(secret_key=self.OTHER)).backup(tmp_path / "backups").key == "apart"

    @pytest.mark.parametrize("proof", ["there", "of an earlier version"])
    def test_a_wrong_one_inside_is_found_though_every_checksum_is_right(self, install, tmp_path, proof):
        made = operations_for(install()).backup(tmp_path / "backups")
        (made.folder / "secret.key").write_text(self.OTHER)
        told = json.loads((made.folder / "backup.json").read_text())
        told["files"]["secret.key"] = hashlib.sha256(self.OTHER.encode()).hexdigest()
        if proof != "there":
            del told["proof"], told["key"]
        (made.folder / "backup.json").write_text(json.dumps(told))
        with pytest.raises(ConfigurationError, match="cannot be restored with this key"):
            backup.verify(made.folder)

    def test_what_was_sealed_with_an_earlier_one_is_counted_and_refuses_no_copy(self, install, tmp_path):
        install(secret_key=self.OTHER).close()
        made = operations_for(install()).backup(tmp_path / "backups")
        assert (made.key, made.sealed, made.lost) == ("inside", 1, 1)


@pytest.mark.parametrize("name", ["ledger.sqlite3", "secret.key", "backup.json"])
@pytest.mark.parametrize("length", [0, 10, -1])
def test_a_file_that_was_cut_off_is_found(made, name, length):
    path = made.folder / name
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ConfigurationError, match=r"is not (whole|a backup)"):
        backup.verify(made.folder)


def test_a_copy_that_was_never_finished_is_deleted_when_it_is_old(filled, tmp_path):
    for name in (".backup-old", ".backup-new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.sqlite3").write_bytes(b"ada@example.org")
    os.utime(tmp_path / ".backup-old", (0, 0))
    made = operations_for(filled).backup(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".backup-new", made.folder.name]


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
    trial = DryRun(steward)
    task_id = trial.service.schedule("letter", datetime.now(UTC) + timedelta(days=1), to="ada@example.org")
    with pytest.raises(StateConflict, match="still open"):
        operations_for(steward).forget("ada@example.org")
    trial.service.cancel(task_id)
    assert operations_for(steward).forget("ada@example.org") == 1
    assert trial.service.get_status(task_id).payload == {}
    trial.close()
