"""A person who is erased is in no byte of the data folder any more, and it is said what could not be reached."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.servers.stores import contents

from steward.errors import StorageUnavailable
from steward.installation import erasure
from steward.installation.container import Steward
from steward.installation.maintenance import operations_for
from steward.installation.settings import load
from steward.storage import access, working_folders
from steward.storage.database.schema.tables import actions, incidents, lanes
from steward.storage.maintenance import vacuum
from steward.storage.tasks import acceptance
from steward.system.clock import new_id, now
from steward.worker.dry_run import DryRun

pytestmark = pytest.mark.slow

TRIALS = Path(__file__).parent.parent.parent / "journeys" / "plugins"


@pytest.fixture
def trial(tmp_path):
    steward = Steward(load(data_dir=tmp_path / "data", plugins_dir=TRIALS, free_space_mb=0))
    trial = DryRun(steward)
    yield trial
    trial.close()
    steward.close()


def everywhere(folder):
    """Return every byte of every file and file name below `folder`, in small letters."""
    paths = list(folder.rglob("*"))
    return b"\n".join([str(p).lower().encode() for p in paths] + [contents(p).lower() for p in paths if p.is_file()])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ada@example.org", "Dear Ada Lovelace"),
        ("Ada.Lovelace+news@Example.org", "Dear Ada Lovelace"),
        ("ada_l@example.org", "Zoë schrieb: früh, grüßt Ada Lovelace " * 30),  # quoted-printable or base64
        ("o'hara@example.org", "<b>Dear Ada Lovelace</b>"),
    ],
)
def test_nothing_of_the_person_is_left_in_any_file(trial, tmp_path, address, words):
    steward, folder = trial.steward, tmp_path / "data"
    other = trial.service.enqueue("letter", to="grace@example.org", words="Dear Grace")
    task_id = trial.service.enqueue("letter", to=address, words=words, key=f"welcome-{address}")
    both = trial.service.enqueue("letter", to=[address, "grace@example.org"])
    waiting = trial.service.schedule("letter", datetime.now(UTC) + timedelta(days=1), to=address)
    trial.service.cancel(waiting, by=address)
    with steward.ledger.write() as connection:
        acceptance.note_action(connection, new_id(), other, now(), address, "downloaded", f"{address}.csv")
        connection.execute(lanes.insert().values(name="x", reason=f"550 <{address.upper()}> refused"))
        facts = {"first_at": now(), "last_at": now(), "count": 1, "told": 0}
        reason = f"no such user {address}"
        connection.execute(
            incidents.insert().values(id=new_id(), digest="d", kind="task", name="letter", reason=reason, **facts)
        )
    left = working_folders.fresh(working_folders.of(steward.spool_folder, task_id, "gone") / "0")
    (left / "roster.csv").write_text(address)
    with closing(sqlite3.connect(folder / "engine.sqlite3", isolation_level=None)) as engine:
        engine.execute("CREATE TABLE said (words)")
        engine.execute("INSERT INTO said VALUES (?)", (address * 50,))
        engine.execute("DELETE FROM said")
    assert address.lower().encode() in everywhere(folder)

    done = erasure.erase(steward, address)
    assert (done.tasks, done.keys, done.letters, done.left) == (3, 1, 2, ())
    assert done.rows >= 3
    kept = everywhere(folder)
    for form in (address, "Lovelace", *erasure.spellings(address)):
        assert form.lower().encode() not in kept, form
    assert b"grace@example.org" in kept
    assert [d.to for d in trial.service.get_status(both).deliveries] == ["erased", "grace@example.org"]
    with steward.ledger.read() as connection:
        assert connection.scalar(sa.select(actions.c.actor).where(actions.c.task_id == other)) == "erased"
    assert operations_for(steward).integrity().problems == ()


ADA = "Ada.Lovelace+news@example.org"


@pytest.fixture
def larger(postgres_url, tmp_path):
    """An installation on PostgreSQL, with a schema of the engine's."""
    steward = Steward(load(data_dir=tmp_path / "data", plugins_dir=TRIALS, database_url=postgres_url, free_space_mb=0))
    trial = DryRun(steward)
    with steward.ledger.write() as connection:
        connection.execute(sa.text('CREATE SCHEMA dbos CREATE TABLE "Said" (id text, words text)'))
    yield trial
    trial.close()
    steward.close()


def test_on_postgresql_nothing_is_left_in_any_table_statistic_or_file(larger, postgres, postgres_url, tmp_path):
    steward, service, folder = larger.steward, larger.service, tmp_path / "data"
    stays = service.enqueue("letter", to="grace@example.org")
    for n in range(3):
        service.enqueue("letter", to=ADA, words="Dear Ada Lovelace", key=f"{n}-{ADA}")
    both = service.enqueue("letter", to=[ADA, "grace@example.org"])
    service.cancel(service.schedule("letter", datetime.now(UTC) + timedelta(days=1), to=ADA), by=ADA)
    rests = steward.schedules.make("letter", {"to": "grace@example.org"}, "0 6 * * *").entry.id
    steward.schedules.pause(rests, by=ADA)
    with steward.ledger.write() as connection:
        acceptance.note_action(connection, new_id(), stays, now(), ADA, "downloaded", f"{ADA}.csv")
        connection.execute(lanes.insert().values(name="x", reason=f"550 <{ADA.upper()}> refused"))
        connection.execute(sa.text('INSERT INTO dbos."Said" VALUES (:words, :words)'), {"words": ADA})
        connection.execute(sa.text('DELETE FROM dbos."Said"'))
        connection.execute(sa.text("ANALYZE"))
    assert postgres.rows(postgres_url).lower().count(ADA.lower()) > 20
    assert ADA.encode() in postgres.files(postgres_url)

    done = erasure.erase(steward, ADA)
    assert (done.tasks, done.keys, done.letters, done.left, done.backups) == (5, 3, 4, (), 0)
    assert done.rows == 4
    where = postgres.rows(postgres_url).lower(), postgres.files(postgres_url).lower().decode("latin-1")
    for form in (ADA.lower(), "lovelace"):
        assert [line for line in where[0].splitlines() if form in line] == []
        assert form not in where[1]
        assert form.encode() not in everywhere(folder)
    assert "grace@example.org" in where[0]
    assert [d.to for d in service.get_status(both).deliveries] == ["erased", "grace@example.org"]
    assert steward.schedules.get(rests).entry.paused_by == "erased"
    assert operations_for(steward).integrity().problems == ()


def test_a_table_that_holds_the_address_still_is_named(trial, larger):
    for each in (trial, larger):
        steward = each.steward
        each.service.enqueue("letter", to="ada@example.org")
        with steward.ledger.write() as connection:
            access.create_link(connection, "Ada@example.org", ["reports"])
            if not steward.ledger.is_sqlite:
                connection.execute(
                    sa.text('INSERT INTO dbos."Said" VALUES (1, :words)'), {"words": "to ada@example.org"}
                )
        left = erasure.erase(steward, "ada@example.org").left
        if steward.ledger.is_sqlite:
            assert left == ("table users", "ledger.sqlite3")
        else:
            assert left[:2] == ("table users", "table dbos.Said")


def test_what_is_in_use_at_postgresql_is_waited_for_and_then_told_in_words(larger, monkeypatch):
    steward = larger.steward
    monkeypatch.setattr(vacuum, "_PATIENCE", 0.1)
    larger.service.enqueue("letter", to=ADA)
    with steward.ledger.read() as reader:
        reader.execute(sa.text("SELECT count(*) FROM deliveries"))
        with pytest.raises(StorageUnavailable, match=r"could not be rewritten.*Do it again"):
            erasure.erase(steward, ADA)
    assert erasure.erase(steward, ADA).left == ()


def test_what_could_not_be_reached_is_named(trial, tmp_path):
    steward = trial.steward
    trial.service.enqueue("letter", to="ada@example.org")
    operations_for(steward).backup()
    (tmp_path / "data" / "note.txt").write_text("call ADA@example.org")
    done = erasure.erase(steward, "ada@example.org")
    assert (done.left, done.backups) == (("note.txt",), 1)


def test_an_address_that_holds_another_s_takes_only_its_own(trial):
    trial.service.enqueue("letter", to="ada@example.org")
    longer = trial.service.enqueue("letter", to="grace@example.org", words="Dear Grace")
    assert erasure.erase(trial.steward, "nobody@example.org").tasks == 0
    assert trial.service.get_status(longer).payload["words"] == "Dear Grace"
