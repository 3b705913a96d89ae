"""Leases: who is at work, whose lease is over, and who is forgotten."""

from steward.storage.fleet import heartbeat, workers
from steward.storage.fleet.heartbeat import LEASE
from steward.storage.tasks import attempts, claim, recovery
from steward.system.clock import SECOND, now


def register(ledger, worker, at=None, slot="slot-0", port=None):
    ledger.apply(lambda c: workers.register(c, worker, "host", slot, 7, "durable", port, at or now()))


def living(ledger, at=None):
    with ledger.read() as connection:
        return {w.id: w.holding for w in workers.living(connection, at or now())}


def test_a_worker_lives_as_long_as_it_is_heard_of(ledger):
    moment = now()
    register(ledger, "w1", moment)
    assert living(ledger, moment + LEASE - 1) == {"w1": 0}
    assert living(ledger, moment + LEASE) == {}
    assert ledger.apply(lambda c: heartbeat.beat(c, "w1", moment + 20 * SECOND))
    assert living(ledger, moment + 30 * SECOND) == {"w1": 0}


def test_a_worker_that_was_forgotten_is_told_so(ledger):
    assert not ledger.apply(lambda c: heartbeat.beat(c, "w1", now()))


def test_what_a_worker_holds_is_counted(ledger, add):
    register(ledger, "w1")
    add(), add()
    ledger.apply(lambda c: claim.take(c, "mail", 10, "w1", now()))
    assert living(ledger) == {"w1": 2}


def test_earlier_holders_of_a_slot_are_named_until_their_lease_has_been_ended_and_they_hold_nothing(ledger, add):
    register(ledger, "w1")
    register(ledger, "w2", slot="slot-1")
    task_id = add()
    ledger.apply(lambda c: attempts.begin(c, [task_id], "w1", "c1", now()))

    def holders():
        with ledger.read() as connection:
            return workers.of_slot(connection, "host", "slot-0")

    assert holders() == ["w1"]
    ledger.apply(lambda c: heartbeat.retire(c, ["w1"]))
    assert holders() == ["w1"], "it still holds a task"
    ledger.apply(lambda c: recovery.release(c, ["w1"], now()))
    assert holders() == []


def test_nudges_go_to_the_living_of_this_host(ledger):
    register(ledger, "w1", port=4001)
    register(ledger, "w2")
    register(ledger, "w3", now() - 60 * SECOND, port=4003)
    with ledger.read() as connection:
        assert workers.nudge_ports(connection, "host", now()) == [4001]
        assert workers.nudge_ports(connection, "elsewhere", now()) == []


def test_whoever_ended_long_ago_is_forgotten_unless_it_holds_something(ledger, add):
    register(ledger, "old", now() - 100 * SECOND)
    register(ledger, "holding", now() - 100 * SECOND)
    register(ledger, "new")
    add()
    ledger.apply(lambda c: claim.take(c, "mail", 1, "holding", now()))
    assert ledger.apply(lambda c: workers.prune(c, now() - 50 * SECOND)) == 1
    with ledger.read() as connection:
        assert claim.dead_holders(connection, now()) == ["holding"]


def test_an_attempt_without_a_record_is_queued_again_and_only_once(ledger, add):
    task_id = add()
    ledger.apply(lambda c: attempts.begin(c, [task_id], "w1", "c1", now()))
    with ledger.read() as connection:
        assert attempts.running(connection, "w1") == {task_id: "c1"}
        assert attempts.running(connection, "w2") == {}
    assert ledger.apply(lambda c: recovery.reopen(c, {(task_id, "other")}, now())) == 0
    assert ledger.apply(lambda c: recovery.reopen(c, {(task_id, "c1")}, now())) == 1
    assert ledger.apply(lambda c: recovery.reopen(c, {(task_id, "c1")}, now())) == 0
    assert ledger.apply(lambda c: attempts.begin(c, [task_id], "w2", "c2", now()))[0].lost == 0
