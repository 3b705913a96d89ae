"""A process that performs: signs of life, leaving, and what it does about attempts without a record."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from steward.installation.container import Steward
from steward.installation.settings import load
from steward.storage import working_folders
from steward.storage.database.schema.tables import workers
from steward.storage.fleet import workers as leases
from steward.storage.tasks import attempts, claim
from steward.system.clock import SECOND, now
from steward.worker.handlers import pool
from steward.worker.worker import Worker

pytestmark = pytest.mark.slow

TRIALS = Path(__file__).parent.parent.parent / "journeys" / "plugins"


@pytest.fixture
def steward(tmp_path):
    steward = Steward(load(data_dir=tmp_path / "data", plugins_dir=TRIALS, free_space_mb=0))
    yield steward
    steward.close()


@pytest.fixture
def performer(steward):
    performer = Worker(steward, engine="durable")
    performer.start()
    yield performer
    performer.stop()


def until(true, seconds=10):
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("not within the time")


def living(steward):
    with steward.ledger.read() as connection:
        return [worker.id for worker in leases.living(connection, now())]


def test_it_is_heard_of_every_second(steward, performer):
    assert living(steward) == [performer.id]
    past = now() - 60 * SECOND
    steward.ledger.apply(lambda c: c.execute(workers.update().values(heartbeat_at=past, lease_until=past + 1)))
    assert living(steward) == []
    until(lambda: living(steward) == [performer.id])


def test_one_that_the_ledger_has_forgotten_enters_again(steward, performer):
    steward.ledger.apply(lambda c: c.execute(workers.delete()))
    until(lambda: living(steward) == [performer.id])


def test_an_attempt_at_which_nobody_works_is_made_again(steward, performer):
    task_id = steward.service.enqueue("nothing")
    steward.ledger.apply(lambda c: attempts.begin(c, [task_id], performer.id, "c1", now()))
    until(lambda: steward.service.get_status(task_id).state == "queued")
    task = steward.service.get_status(task_id)
    assert ([a.outcome for a in task.attempts], task.worker) == (["unrecorded"], None)
    performer.runner.perform([task_id])
    assert steward.service.get_status(task_id).state == "succeeded"


def test_what_runs_is_cut_off_when_it_was_cancelled(steward, performer, tmp_path):
    task_id = steward.service.enqueue("wait", file=str(tmp_path / "runs"), until=str(tmp_path / "never"))
    working = threading.Thread(target=performer.runner.perform, args=([task_id],))
    working.start()
    until(lambda: (tmp_path / "runs").exists(), 30)
    steward.service.cancel(task_id)
    working.join(10)
    assert not working.is_alive()
    assert steward.service.get_status(task_id).state == "cancelled"


def test_whoever_leaves_hands_back_what_it_holds_and_is_gone(steward):
    performer = Worker(steward, engine="durable")
    performer.start()
    task_id = steward.service.enqueue("nothing")
    steward.ledger.apply(lambda c: claim.take(c, "mail", 1, performer.id, now()))
    assert performer.stop()
    task = steward.service.get_status(task_id)
    assert (task.state, task.worker, living(steward)) == ("queued", None, [])
    with steward.ledger.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(workers)) == 1
        assert claim.dead_holders(connection, now()) == []


def test_the_files_of_a_report_that_was_cancelled_or_killed_are_swept_at_the_start(steward):
    """The attempt that owns its files goes on with them."""
    kept, gone = (steward.service.enqueue("nothing") for _ in range(2))
    steward.ledger.apply(lambda c: attempts.begin(c, [kept], "elsewhere", "c1", now()))
    for task_id in (kept, gone):
        folder = working_folders.fresh(working_folders.of(steward.spool_folder, task_id, "c1") / "0")
        (folder / "roster.csv").write_text("Ada,ada@example.org")
    performer = Worker(steward, engine="durable")
    performer.start()
    until(lambda: not (steward.spool_folder / gone).exists())
    assert (steward.spool_folder / kept / "c1" / "0" / "roster.csv").exists()
    performer.stop()


def test_the_children_that_first_tasks_can_do_without_follow_when_it_is_ready(steward, performer):
    performer.warm()
    first = performer._handlers._pool.pids()
    assert len(first) == steward.settings.handler_processes
    assert performer._renderer._children.pids() == []
    performer.await_warm()
    until(lambda: len(performer._handlers._pool.pids()) == len(first) + pool.SPARE)
    until(performer._renderer._children.pids)
    assert set(first) <= set(performer._handlers._pool.pids())
