"""Waking, expiring, taking in hand."""

from steward.model.states import State
from steward.storage.fleet import circuit_breaker, pauses
from steward.storage.tasks import claim, search
from steward.system.clock import SECOND, now


def take(ledger, lane="mail", most=10, worker="w1", **more):
    return [d.id for d in ledger.apply(lambda c: claim.take(c, lane, most, worker, now(), **more))]


def state(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id).state


def test_the_highest_priority_and_the_longest_waiting_come_first(ledger, add):
    moment = now()
    late = add(due_at=moment - 1)
    early = add(due_at=moment - 10)
    reset = add(priority=100, due_at=moment)
    assert take(ledger, most=2) == [reset, early]
    assert take(ledger) == [late]
    assert take(ledger) == []


def test_a_task_is_taken_in_its_own_lane_only(ledger, add):
    add(lane="bulk")
    assert take(ledger) == []
    assert len(take(ledger, lane="bulk")) == 1


def test_scheduled_and_retrying_tasks_wake_when_due(ledger, add):
    moment = now()
    soon = add(state=State.SCHEDULED, due_at=moment + SECOND)
    again = add(state=State.RETRYING, due_at=moment + 2 * SECOND)
    with ledger.read() as connection:
        assert claim.next_moment(connection) == moment + SECOND
        assert not claim.anything(connection, moment)
        assert claim.anything(connection, moment + SECOND)
    assert ledger.apply(lambda c: claim.wake(c, moment + SECOND)) == 1
    assert (state(ledger, soon), state(ledger, again)) == ("queued", "retrying")


def test_nothing_starts_after_it_expired(ledger, add):
    moment = now()
    gone = add(expires_at=moment - 1, sealed=b"secret")
    held = add(state=State.BLOCKED, expires_at=moment - 1)
    add(expires_at=moment + SECOND)
    assert ledger.apply(lambda c: claim.expire(c, moment)) == 2
    assert {state(ledger, gone), state(ledger, held)} == {"expired"}
    assert len(take(ledger)) == 1


def test_what_a_broker_has_is_handed_over_again_only_when_stale(ledger, add):
    task_id = add()
    moment = now()
    assert take(ledger, worker=None, stale_before=moment - SECOND) == [task_id]
    assert take(ledger, worker=None, stale_before=moment - SECOND) == []
    assert take(ledger, worker=None, stale_before=now() + SECOND) == [task_id]


def test_tasks_of_a_missing_plugin_are_held_and_come_back(ledger, add):
    task_id = add(state=State.BLOCKED)
    ledger.apply(lambda c: claim.unblock(c, ["other"]))
    assert state(ledger, task_id) == "blocked"
    ledger.apply(lambda c: claim.unblock(c, ["welcome"]))
    assert state(ledger, task_id) == "queued"


def test_a_stopped_lane_is_named_until_it_moves(ledger):
    moment = now()
    assert ledger.apply(lambda c: pauses.stop_lane(c, "smtp", "535 no", moment, moment + SECOND))
    assert not ledger.apply(lambda c: pauses.stop_lane(c, "smtp", "535 still no", moment, moment + SECOND))
    with ledger.read() as connection:
        assert claim.stopped_lanes(connection) == {"smtp": "535 still no"}
    assert ledger.apply(lambda c: circuit_breaker.claim(c, moment)) is None
    assert ledger.apply(lambda c: circuit_breaker.claim(c, moment + SECOND)).reason == "535 still no"
    assert ledger.apply(lambda c: pauses.start_lane(c, "smtp"))
    assert not ledger.apply(lambda c: pauses.start_lane(c, "smtp"))


def test_a_look_says_what_there_is_to_do(ledger, add):
    moment = now()

    def look(at=moment):
        with ledger.read() as connection:
            return claim.look(connection, at)

    assert look().nothing
    add(lane="bulk")
    add(state=State.SCHEDULED, due_at=moment + SECOND)
    add(lane="jobs", expires_at=moment + 2 * SECOND)
    assert look() == claim.QueueOverview(frozenset({"bulk", "jobs"}), wakes=False, expires=False, dead=False)
    assert take(ledger, lane="jobs", worker="gone")
    assert look(moment + 3 * SECOND) == claim.QueueOverview(frozenset({"bulk"}), wakes=True, expires=True, dead=True)


def test_a_look_does_not_read_all_that_waits(ledger, add):
    if not ledger.is_sqlite:  # its planner knows how much there is, and may choose otherwise when that is little
        return
    with ledger.read() as connection:
        plan = connection.connection.cursor().execute(
            f"EXPLAIN QUERY PLAN {claim._LOOK.on(connection)}".replace(":now", "1")
        )
        steps = [row[3] for row in plan.fetchall()]
    read = {step.split(" INDEX ")[1].split(" ")[0] for step in steps if "tasks USING" in step}
    assert read == {"ix_tasks_waiting", "ix_tasks_expiring", "ix_tasks_queued", "ix_tasks_worker"}
