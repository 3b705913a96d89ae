"""What PostgreSQL refuses and SQLite takes."""

import threading
import time

import pytest
import sqlalchemy as sa

from steward.clock import now
from steward.errors import StorageUnavailable, UnknownTask
from steward.ledger import Ledger, attempts, search
from steward.ledger.attempts import Ending
from steward.tasks import State


def test_text_with_a_nul_is_kept_as_text(ledger, add):
    task_id = add()
    ledger.apply(lambda c: attempts.begin(c, [task_id], "w1", "c1", now()))
    end = Ending(task_id, 1, "c1", State.FAILED, now(), error="550 no\0thing")
    assert ledger.apply(lambda c: attempts.end(c, end))
    with ledger.read() as connection:
        assert search.get(connection, task_id).error.startswith("550 no")
        with pytest.raises(UnknownTask):
            search.get(connection, "no\0thing")


def test_a_store_that_does_not_answer_is_told_in_words_within_seconds(postgres):
    ledger = Ledger(postgres.create().replace(f":{postgres.port}/", ":1/"))
    started = time.monotonic()
    with pytest.raises(StorageUnavailable), ledger.read() as connection:
        connection.execute(sa.text("SELECT 1"))
    assert time.monotonic() - started < 5
    ledger.close()


def test_several_that_migrate_at_once_make_one_schema(postgres_url):
    errors = []

    def migrate():
        try:
            made = Ledger(postgres_url)
            made.open()
            made.close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
