"""Handing over: who comes when, suspects one at a time, and what stays in hand by mistake."""

import threading

import pytest
import sqlalchemy as sa
from tests.unit.storage.conftest import entry

from steward.model.states import State
from steward.storage.database.schema.tables import tasks
from steward.storage.fleet import pauses, workers
from steward.storage.tasks import acceptance, attempts, search
from steward.storage.tasks.claim import ClaimedTask
from steward.system.clock import SECOND, new_id, now
from steward.tasks.wakeup import WakeupReceiver
from steward.worker.dispatcher import ONCE_LOST, Dispatcher, lanes, packed

pytestmark = pytest.mark.slow


class Desk:
    """An engine that keeps what it is handed until it is told that a batch is done."""

    name = "desk"

    def __init__(self):
        self.batches: dict[tuple[str, ...], object] = {}
        self.refusing = False

    def hand_over(self, ids, done):
        if self.refusing:
            raise OSError("closed")
        self.batches[tuple(ids)] = done

    def finish(self, ids):
        self.batches.pop(tuple(ids))()


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def relay(ledger, desk):
    receiver = WakeupReceiver()
    ledger.apply(lambda c: workers.register(c, "w1", "host", "slot-0", 1, "durable", None, now()))
    yield Dispatcher(ledger, desk, "w1", receiver, lanes(1))
    receiver.close()


def add(ledger, count=1, **changes):
    made = [entry(**changes) for _ in range(count)]
    ledger.apply(lambda c: acceptance.accept(c, made))
    return [each.id for each in made]


def put(ledger, task_id, **values):
    ledger.apply(lambda c: c.execute(tasks.update().where(tasks.c.id == task_id).values(**values)))


def get(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id)


def until(true, relay, seconds=8):
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        relay.step()
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("not within the time")


def test_a_suspect_runs_alone_and_the_rest_together():
    found = [ClaimedTask("a"), ClaimedTask("b", lost=1), ClaimedTask("c"), ClaimedTask("d")]
    assert packed(found, 2) == [["b"], ["a", "c"], ["d"]]
    assert packed([], 10) == []
    assert packed([ClaimedTask("a")], 100) == [["a"]]


def test_resets_come_before_everything_and_bulk_comes_last():
    names = [lane.name for lane in lanes(2)]
    assert names[0] == "urgent"
    assert names[-1] == "bulk"


def test_what_is_due_is_handed_over_once_in_batches_the_urgent_first(ledger, relay, desk):
    later = add(ledger, state=State.SCHEDULED, due_at=now() + 60 * SECOND)
    bulk = add(ledger, 150, lane="bulk")
    urgent = add(ledger, lane="urgent")
    assert relay.step() == 101
    assert next(iter(desk.batches)) == tuple(urgent)
    assert relay.step() == 50
    assert relay.step() == 0
    assert sorted(i for batch in desk.batches for i in batch) == sorted(bulk + urgent)
    assert relay._in_hand["bulk"] == 150
    assert get(ledger, later[0]).state == "scheduled"


def test_a_lane_takes_no_more_than_it_may_hold(ledger, relay, desk):
    add(ledger, 5, lane="jobs")
    for _ in range(5):
        relay.step()
    assert len(desk.batches) == 2
    desk.finish(next(iter(desk.batches)))
    relay.step()
    assert len(desk.batches) == 2


def test_suspects_run_one_at_a_time_and_those_with_one_death_a_few(ledger, relay, desk):
    once, twice = add(ledger, 12), add(ledger, 3)
    for task_id in once:
        put(ledger, task_id, lost=1)
    for task_id in twice:
        put(ledger, task_id, lost=2)
    for _ in range(3):
        relay.step()

    def handed(ids):
        return [batch[0] for batch in desk.batches if batch[0] in ids]

    assert all(len(batch) == 1 for batch in desk.batches)
    assert len(handed(once)) == ONCE_LOST
    assert len(handed(twice)) == 1
    for expected in (1, 1, 0):
        desk.finish([handed(twice)[0]])
        relay.step()
        assert len(handed(twice)) == expected
    while handed(once):
        desk.finish([handed(once)[0]])
        relay.step()
    assert relay._in_hand["mail"] == 0


def test_what_the_engine_does_not_take_is_handed_over_again(ledger, relay, desk):
    ids = add(ledger, 3)
    desk.refusing = True
    relay.step()
    assert not desk.batches
    desk.refusing = False
    until(lambda: desk.batches, relay)
    assert sorted(i for batch in desk.batches for i in batch) == sorted(ids)


def test_what_could_not_be_begun_is_handed_over_again(ledger, relay, desk):
    (task_id,) = add(ledger)
    relay.step()
    desk.finish([task_id])  # the engine is done with it, and nobody has begun it: the store had failed just then
    until(lambda: desk.batches, relay)
    assert list(desk.batches) == [(task_id,)]


def test_what_the_dead_hold_is_freed_and_only_after_a_second_look(ledger, relay, desk):
    (task_id,) = add(ledger)
    ledger.apply(lambda c: workers.register(c, "w2", "host", "slot-1", 2, "durable", None, now() - 60 * SECOND))
    ledger.apply(lambda c: attempts.begin(c, [task_id], "w2", "c2", now()))
    relay.step()
    assert get(ledger, task_id).worker == "w2", "after the machine has slept, everybody looks dead for a moment"
    until(lambda: desk.batches, relay)
    task = get(ledger, task_id)
    assert (task.worker, task.state, [a.outcome for a in task.attempts]) == ("w1", "queued", ["lost"])


def test_whoever_was_frozen_does_not_take_itself_for_dead(ledger, relay, desk):
    (task_id,) = add(ledger)
    ledger.apply(lambda c: attempts.begin(c, [task_id], "w1", "c1", now()))
    ledger.apply(lambda c: c.execute(sa.update(workers.workers).values(lease_until=now() - SECOND)))
    pause = threading.Event()
    for _ in range(50):
        relay.step()
        pause.wait(0.05)
    assert get(ledger, task_id).state == "running"


def test_what_expires_in_hand_or_waiting_ends(ledger, relay, desk):
    (gone,) = add(ledger, expires_at=now() - 1)
    relay.step()
    assert (get(ledger, gone).state, desk.batches) == ("expired", {})


def test_a_lane_that_stands_still_is_not_served(ledger, relay, desk):
    letters, jobs = add(ledger, 2), add(ledger, lane="jobs")
    ledger.apply(lambda c: pauses.stop_lane(c, "smtp", "535 no", now(), now() + SECOND))
    relay.step()
    assert list(desk.batches) == [tuple(jobs)]
    ledger.apply(lambda c: pauses.start_lane(c, "smtp"))
    relay.step()
    assert tuple(letters) in desk.batches or tuple(letters[::-1]) in desk.batches


def test_a_task_that_nobody_knows_is_nothing(relay, desk):
    assert relay.step() == 0
    assert new_id() not in desk.batches
