"""What PostgreSQL refuses and SQLite takes."""

import threading
import time

import pytest
import sqlalchemy as sa

from steward.errors import StorageUnavailable, UnknownTask
from steward.model.states import State
from steward.storage.database import Ledger, postgres
from steward.storage.tasks import attempts, search
from steward.storage.tasks.attempts import AttemptEnd
from steward.system.clock import now


def test_text_with_a_nul_is_kept_as_text(ledger, add):
    task_id = add()
    ledger.apply(lambda c: attempts.begin(c, [task_id], "w1", "c1", now()))
    end = AttemptEnd(task_id, 1, "c1", State.FAILED, now(), error="550 no\0thing")
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


@pytest.fixture
def beside(postgres_url):
    """Two sessions of the service and one of another program, each in a transaction in which it has written."""
    ledger = Ledger(postgres_url)
    ledger.open()
    stranger = sa.create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg://"), connect_args={"application_name": "other"}
    )
    with ledger.engine.connect() as ours, stranger.connect() as theirs:
        for connection, key in ((ours, 1), (theirs, 2)):
            connection.exec_driver_sql(f"INSERT INTO leases (duty, holder, until) VALUES ('{key}', '', 0)")
        yield ledger, ours, theirs
    stranger.dispose()
    ledger.close()


def waits_for_its_client(ledger: Ledger, session: int) -> str:
    asked = sa.text("SELECT state FROM pg_stat_activity WHERE pid = :pid AND wait_event = 'ClientRead'")
    for _ in range(200):
        with ledger.read() as connection:
            if state := connection.scalar(asked, {"pid": session}):
                return str(state)
        threading.Event().wait(0.01)
    raise TimeoutError("it does not wait for its client")


@pytest.mark.parametrize("midway", [False, True])
def test_a_session_that_stands_still_in_a_transaction_is_ended_wherever_in_it_and_no_other(beside, midway):
    ledger, ours, theirs = beside
    driver = ours.connection.driver_connection
    if midway:  # as when a process stops between the rows of one statement: the server's own timer does not run
        driver.pgconn.enter_pipeline_mode()
        driver.pgconn.send_query_params(b"INSERT INTO leases (duty, holder, until) VALUES ('3', '', 0)", None)
        driver.pgconn.send_flush_request()
        driver.pgconn.flush()
    session = driver.info.backend_pid
    assert waits_for_its_client(ledger, session) == ("active" if midway else "idle in transaction")
    with ledger.read() as connection:
        assert postgres.end_frozen(connection) == 0  # it has not stood still for long enough
        assert postgres.end_frozen(connection, 0.0) == 1
        assert postgres.end_frozen(connection, 0.0) in (0, 1)  # it may still be on its way out
    assert theirs.scalar(sa.text("SELECT count(*) FROM leases WHERE duty = '2'")) == 1
    ours.invalidate()
    ledger.apply(
        lambda c: c.exec_driver_sql("INSERT INTO leases (duty, holder, until) VALUES ('1', '', 0)")
    )  # it waits for nobody


def test_a_copy_may_rest_while_its_target_is_written_to(beside):
    ledger, ours, _ = beside
    ours.rollback()
    ours.exec_driver_sql("SET LOCAL application_name = 'steward copy'")
    with ledger.read() as connection:
        assert postgres.end_frozen(connection, 0.0) == 0
