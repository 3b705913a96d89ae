"""What is published, how much of it, and again when the broker has lost it."""

import pytest

from steward.errors import BrokerUnavailable
from steward.model.states import State
from steward.storage.fleet import pauses
from steward.storage.tasks import acceptance, attempts, claim
from steward.storage.tasks.acceptance import NewTask
from steward.system.clock import new_id, now
from steward.tasks.wakeup import WakeupReceiver
from steward.worker.dispatcher import QueueLimits
from steward.worker.engines.celery.publisher import BROKER, BrokerPublisher

LANES = (QueueLimits("mail", 4, 2), QueueLimits("bulk", 2, 2))


class Shelf:
    """A broker that keeps what it is given, and can be away or forget."""

    name = "celery"

    def __init__(self):
        self.away, self.given = False, {"mail": [], "bulk": []}
        self.left = {"mail": 0, "bulk": 0}

    def publish(self, lane, ids):
        self.waiting(lane)
        self.given[lane].append(list(ids))

    def waiting(self, lane):
        if self.away:
            raise BrokerUnavailable("away")
        return self.left[lane]

    def close(self):
        self.away = True


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def relay(ledger, shelf):
    return BrokerPublisher(ledger, shelf, "me", WakeupReceiver(), LANES, stale=0)


def add(ledger, count, lane="mail"):
    moment = now()
    entries = [
        NewTask(new_id(), "welcome", State.QUEUED, lane, 0, "{}", None, None, "tests", moment, moment + n - 100, None)
        for n in range(count)
    ]
    ledger.apply(lambda c: acceptance.accept(c, entries))
    return [entry.id for entry in entries]


def test_no_more_is_published_than_the_workers_can_use(ledger, shelf, relay):
    ids = add(ledger, 10)
    shelf.left["mail"] = 9
    assert relay.step() == 4
    assert shelf.given["mail"] == [ids[:2], ids[2:4]]
    assert relay.step() == 0
    assert relay.is_full
    begun = ledger.apply(lambda c: attempts.begin(c, ids[:2], "w", "c", now()))
    assert len(begun) == 2
    ledger.apply(lambda c: [attempts.end(c, attempts.AttemptEnd(i, 1, "c", State.SUCCEEDED, now())) for i in ids[:2]])
    assert relay.step() == 2


def test_what_the_broker_has_lost_is_published_again_and_a_backlog_is_not(ledger, shelf, relay):
    ids = add(ledger, 2)
    assert relay.step() == 2
    shelf.left["mail"] = 1
    assert relay.step() == 0
    shelf.left["mail"] = 0
    assert relay.step() == 2
    assert shelf.given["mail"] == [ids, ids]


def test_a_broker_that_is_away_keeps_nothing_in_its_hand(ledger, shelf, relay):
    add(ledger, 3)
    relay.step()
    more = add(ledger, 1, "bulk")
    shelf.left["mail"] = 3
    shelf.away = True
    with pytest.raises(BrokerUnavailable):
        relay.step()
    with ledger.read() as connection:
        assert "bulk" not in claim.at_broker(connection)
    shelf.away = False
    assert relay.step() == 1
    assert shelf.given["bulk"] == [more]


def test_an_outage_is_written_down_and_taken_back(ledger, shelf, relay):
    relay._broker_fails(BrokerUnavailable("away"))
    with ledger.read() as connection:
        assert BROKER in pauses.stopped(connection)
    add(ledger, 1)
    assert relay.step() == 1
    with ledger.read() as connection:
        assert pauses.stopped(connection) == {}
