"""The store of earlier versions' engine is deleted once nothing in it can be needed, and not before."""

import base64
import logging
import os
import pickle
import sqlite3
import stat
from contextlib import closing

import pytest
import sqlalchemy as sa
from tests.servers.former_engine import left_in

from steward.cli import checks
from steward.installation.container import Steward
from steward.installation.former_engine import FormerEngine
from steward.installation.settings import load
from steward.system.clock import new_id
from steward.worker.worker import Worker

DONE, FIRST, SECOND = (new_id() for _ in range(3))


@pytest.fixture
def left(tmp_path):
    return left_in(tmp_path, DONE, FIRST, SECOND)


@pytest.fixture
def former(tmp_path):
    return FormerEngine(tmp_path)


def all_of(ids):
    return set(ids)


def files(folder):
    return sorted(path.name for path in folder.glob("engine.sqlite3*"))


def test_it_goes_with_all_that_belongs_to_it_once_the_ledger_knows_its_tasks(former, left, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    asked = []
    assert former.clear(lambda ids: asked.extend(ids) or set(ids))
    assert sorted(asked) == sorted([FIRST, SECOND]), "what was done may have been purged since"
    assert files(tmp_path) == []
    assert "deleted engine.sqlite3" in caplog.text


def test_a_task_that_the_ledger_does_not_have_keeps_it(former, left, caplog):
    for _ in range(3):
        assert not former.clear(lambda ids: set(ids) - {FIRST})
    assert left.exists()
    why = "it names 1 task that the ledger does not have; delete it when you know why"
    assert [record.getMessage() for record in caplog.records] == [
        f"engine.sqlite3 of an earlier version stays for now: {why}"
    ]
    assert former.clear(all_of)


def test_it_stays_as_long_as_a_worker_of_the_earlier_version_has_it_open(former, left, caplog):
    with closing(sqlite3.connect(left, isolation_level=None)) as worker:
        worker.execute("PRAGMA journal_mode=WAL")
        assert worker.execute("SELECT count(*) FROM workflow_status").fetchone() == (3,)
        assert not former.clear(all_of)
        assert "another process has it open" in caplog.text
        worker.execute("UPDATE workflow_status SET status = 'SUCCESS'")  # it works on, undisturbed
    assert former.clear(all_of)


@pytest.mark.parametrize("inputs", ["[]", '{"positionalArgs": ["x"]}', '{"positionalArgs": ["x", [1]]}', "", "null"])
def test_what_is_none_of_the_engine_s_keeps_it(former, left, inputs):
    with closing(sqlite3.connect(left)) as store:
        store.execute("UPDATE workflow_input SET inputs = ?", (inputs,))
        store.commit()
    assert not former.clear(all_of)
    assert left.exists()


class Bomb:
    """What runs a command when it is unpickled."""

    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return os.system, (f"touch {self.sentinel}",)


def test_what_was_forged_into_it_is_never_unpickled(former, left, tmp_path):
    sentinel = tmp_path / "forged"
    bomb = base64.b64encode(pickle.dumps(Bomb(sentinel))).decode()
    with closing(sqlite3.connect(left)) as store:
        store.execute("UPDATE workflow_status SET inputs = ?, output = ?, serialization = 'py_pickle'", (bomb, bomb))
        store.execute("UPDATE workflow_input SET inputs = ?", (bomb,))
        store.commit()
    assert not former.clear(all_of)
    assert not sentinel.exists()


def test_a_file_that_is_no_database_stays_and_is_told_of(former, left, caplog):
    left.write_bytes(b"nothing of SQLite's, and long enough to be looked at " * 100)
    assert not former.clear(all_of)
    assert left.exists()
    assert "cannot be read or deleted" in caplog.text


def test_a_database_of_something_else_stays(former, tmp_path):
    with closing(sqlite3.connect(tmp_path / "engine.sqlite3")) as store:
        store.execute("CREATE TABLE songs (name)")
    assert not former.clear(all_of)
    assert files(tmp_path) == ["engine.sqlite3"]


def test_one_that_was_made_and_never_used_goes(former, tmp_path):
    (tmp_path / "engine.sqlite3").touch()
    assert former.clear(lambda ids: pytest.fail("asked"))
    assert files(tmp_path) == []


def test_nothing_is_made_where_there_is_none(former, tmp_path):
    assert former.clear(lambda ids: pytest.fail("asked"))
    assert files(tmp_path) == []


def test_as_long_as_it_stays_nobody_else_may_read_it(former, left):
    left.chmod(0o644)
    assert not former.clear(lambda ids: set())
    assert stat.S_IMODE(left.stat().st_mode) == 0o600


@pytest.mark.slow
def test_who_performs_deletes_it_at_the_start_whatever_the_ledger_lies_in(steward):
    ids = [steward.service.enqueue("welcome_email", name="Ada", email="ada@example.org") for _ in range(3)]
    left = left_in(steward.settings.data_dir, *ids)
    assert [words for level, words, _ in warned(steward) if "engine.sqlite3" in words] != []
    performer = Worker(steward, engine="durable")
    performer.start()
    performer.stop()
    assert not left.exists()
    assert [words for level, words, _ in warned(steward) if "engine.sqlite3" in words] == []


@pytest.mark.slow
def test_the_schema_in_a_database_that_others_may_share_is_told_of_and_left(tmp_path, postgres_url):
    steward = Steward(load(data_dir=tmp_path / "data", database_url=postgres_url, free_space_mb=0))
    assert [found for found in checks.ledger(steward) if "dbos" in str(found)] == []
    with steward.ledger.write() as connection:
        connection.execute(sa.text("CREATE SCHEMA dbos CREATE TABLE workflow_status (workflow_uuid text)"))
    performer = Worker(steward, engine="durable")
    performer.start()
    performer.stop()
    (told,) = [found for found in checks.ledger(steward) if "dbos" in str(found)]
    assert told[0] == "warn"
    assert told[2].endswith("DROP SCHEMA dbos CASCADE")
    steward.close()


def warned(steward):
    return [found for found in checks.data_folder(steward) if found[0] == "warn"]
