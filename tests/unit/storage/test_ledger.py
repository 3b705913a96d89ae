"""Opening, migrating, and errors in words."""

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.schema import CreateIndex

from steward.errors import ConfigurationError, NewerStore, StorageBusy, StorageFull
from steward.storage.database import Ledger
from steward.storage.database.group_commit import GroupCommit
from steward.storage.database.ledger import REVISIONS
from steward.storage.database.schema.tables import metadata, tasks
from steward.storage.database.storage_errors import storage_error
from steward.storage.database.write_lock import PROMPT

pytestmark = pytest.mark.slow


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    yield ledger
    ledger.close()


def test_commits_are_durable_and_readers_do_not_wait(ledger):
    with ledger.read() as connection:
        pragma = {
            p: connection.scalar(sa.text(f"PRAGMA {p}")) for p in ("journal_mode", "synchronous", "secure_delete")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    with ledger.write() as writing, ledger.read() as reading:
        writing.execute(sa.text("DELETE FROM tasks"))
        assert reading.scalar(sa.select(sa.func.count()).select_from(tasks)) == 0


def test_the_migrations_make_exactly_the_tables_of_the_schema(ledger):
    with ledger.read() as connection:
        # Alembic cannot compare an index with an expression in it; its text is compared instead.
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
        assert [d for d in differences if getattr(d[1], "name", "") != "ix_tasks_queued"] == []
        made = dict(connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'index'")).all())
    wanted = {i.name: i for t in metadata.tables.values() for i in t.indexes}
    assert set(wanted) <= set(made)
    assert made["ix_tasks_queued"] == str(CreateIndex(wanted["ix_tasks_queued"]).compile(ledger.engine))
    assert ledger.revision() == REVISIONS[-1]


def test_an_error_leaves_nothing_behind(ledger):
    with pytest.raises(RuntimeError), ledger.write() as connection:
        connection.execute(sa.text("INSERT INTO lanes (name) VALUES ('x')"))
        raise RuntimeError
    with ledger.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM lanes")) == 0


def test_a_newer_store_is_refused_in_words(ledger):
    with ledger.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerStore, match=r"newer version of Steward.*9999"):
        ledger.open()


def test_a_killed_migration_starts_again(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.sqlite3"
    # The process kills itself in the middle of its DDL, with real tables made and nothing committed.
    script = f"""
import os, signal
import sqlalchemy as sa
from steward.storage.database import Ledger
ledger = Ledger({url!r})
@sa.event.listens_for(ledger.engine, "before_cursor_execute")
def count(conn, cursor, statement, *rest):
    if "CREATE TABLE" in statement and "lanes" in statement:
        os.kill(os.getpid(), signal.SIGKILL)
ledger.open()
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    ledger = Ledger(url)
    assert ledger.revision() is None
    ledger.open()
    assert ledger.revision() == REVISIONS[-1]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.sqlite3").open()


def test_a_url_that_is_none_is_named():
    with pytest.raises(ConfigurationError, match="STEWARD_DATABASE_URL"):
        Ledger("mysql+nothing://x/y")


def test_a_full_disk_is_told_apart():
    with closing(sqlite3.connect(":memory:")) as database, pytest.raises(sqlite3.OperationalError) as full:
        database.executescript("PRAGMA max_page_count = 2; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))")
    assert isinstance(storage_error(full.value), StorageFull)
    assert not isinstance(storage_error(sqlite3.OperationalError("disk I/O error")), StorageFull)


def test_no_connection_to_be_had_is_a_busy_store(ledger, monkeypatch):
    monkeypatch.setattr(ledger.engine.pool, "_timeout", 0.01)  # nobody waits half a minute here
    with ExitStack() as taken, pytest.raises(StorageBusy, match="Every connection"):
        for _ in range(100):
            taken.enter_context(ledger.read())
    with ledger.read() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


class TestAStoreThatIsLocked:
    """Another connection has the write lock: as another process would."""

    @pytest.fixture
    def path(self, tmp_path):
        made = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
        made.open()
        made.close()
        return tmp_path / "ledger.sqlite3"

    @pytest.fixture
    def other(self, path):
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield other

    @pytest.fixture
    def prompt(self, path):
        ledger = Ledger(f"sqlite:///{path}")
        ledger.be_prompt(PROMPT)
        yield ledger
        ledger.close()

    def test_reads_do_not_wait_and_writes_give_up_in_time(self, prompt, other):
        began = time.monotonic()
        assert prompt.revision() is not None
        assert time.monotonic() - began < 1
        for write in (lambda: prompt.apply(lambda c: None), lambda: prompt.keep().apply(lambda c: None)):
            began = time.monotonic()
            with pytest.raises(StorageBusy):
                write()
            assert time.monotonic() - began < 2

    def test_who_comes_after_one_that_gave_up_waits_less_until_the_lock_is_free(self, prompt, other):
        with pytest.raises(StorageBusy):
            prompt.apply(lambda c: None)
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(StorageBusy):
                prompt.apply(lambda c: None)
        assert time.monotonic() - began < 1.2
        assert prompt.lock.stands
        assert not prompt.is_writable(0)
        other.execute("ROLLBACK")
        assert prompt.is_writable(0)
        prompt.apply(lambda c: None)
        assert not prompt.lock.stands

    def test_many_that_wait_for_one_writer_are_all_told_in_time(self, prompt, other):
        writer = GroupCommit(prompt)
        began = time.monotonic()
        futures = [writer.submit(lambda c: None) for _ in range(300)]
        for future in futures:
            with pytest.raises(StorageBusy):
                future.result(timeout=5)
        assert time.monotonic() - began < 2 * PROMPT, "they wait together, not one after the other"
        other.execute("ROLLBACK")
        assert writer.submit(lambda c: 7).result(timeout=5) == 7
        writer.close()

    def test_one_with_patience_gets_the_lock_when_it_is_free(self, path, other):
        ledger = Ledger(f"sqlite:///{path}")
        threading.Timer(2.5, lambda: other.execute("ROLLBACK")).start()
        assert ledger.apply(lambda c: 7) == 7
        assert ledger.lock.stood(1.0)
        ledger.close()

    def test_a_lock_that_is_waited_for_long_is_known_to_stand_while_it_is(self, path, other):
        ledger = Ledger(f"sqlite:///{path}")
        waiting = threading.Thread(target=lambda: ledger.apply(lambda c: None))
        waiting.start()
        until = time.monotonic() + 10
        while not ledger.lock.stood(0.0) and time.monotonic() < until:
            waiting.join(0.05)
        assert waiting.is_alive()
        assert ledger.lock.stood(0.0)
        other.execute("ROLLBACK")
        waiting.join()
        ledger.close()
