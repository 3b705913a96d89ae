"""Opening, migrating, and errors in words."""

import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.schema import CreateIndex

from steward.errors import ConfigurationError, NewerStore, StorageFull
from steward.ledger import Ledger
from steward.ledger.ledger import REVISIONS, storage_error
from steward.ledger.schema import metadata, tasks


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
from steward.ledger import Ledger
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
    assert isinstance(storage_error(sqlite3.OperationalError("database or disk is full")), StorageFull)
    assert not isinstance(storage_error(sqlite3.OperationalError("disk I/O error")), StorageFull)
