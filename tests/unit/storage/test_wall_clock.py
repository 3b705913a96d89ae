"""The clock set forward or back: waits go on by elapsed time, appointments by the wall clock."""

import pytest
import sqlalchemy as sa

from steward.model.states import State
from steward.storage.database.schema.tables import tasks
from steward.storage.fleet import circuit_breaker, pauses, wall_clock, workers
from steward.storage.fleet.wall_clock import ClockReading
from steward.storage.tasks import claim, rate_limit
from steward.system.clock import SECOND, now

HOUR = 3600 * SECOND


@pytest.fixture
def at():
    """Return both clocks, `elapsed` microseconds after the test began and with the wall clock set by `jump`."""
    began = now()
    return lambda elapsed=0, jump=0: ClockReading("here", "boot", began + elapsed + jump, 1_000_000_000 + elapsed)


@pytest.mark.parametrize("jump", [-HOUR, HOUR, -25 * HOUR, 40 * 365 * 24 * HOUR])
def test_a_retry_comes_after_its_delay_and_an_appointment_at_its_time(ledger, add, at, jump):
    start = at().wall
    retry = add(state=State.RETRYING, due_at=start + 60 * SECOND)
    later = add(state=State.SCHEDULED, due_at=start + 100 * 365 * 24 * HOUR)
    assert ledger.apply(lambda c: wall_clock.follow(c, at())) == 0
    assert ledger.apply(lambda c: wall_clock.follow(c, at(10 * SECOND, jump))) == jump
    assert ledger.apply(lambda c: wall_clock.follow(c, at(11 * SECOND, jump))) == 0, "once, whoever looks"

    def waking(elapsed):
        return ledger.apply(lambda c: claim.wake(c, at(elapsed, jump).wall))

    assert waking(59 * SECOND) == 0
    assert waking(60 * SECOND) == 1
    with ledger.read() as connection:
        found = {r.id: r for r in connection.execute(sa.select(tasks.c.id, tasks.c.state, tasks.c.due_at))}
    assert found[retry].state == "queued"
    assert (found[later].state, found[later].due_at) == ("scheduled", start + 100 * 365 * 24 * HOUR)


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_lane_is_asked_again_and_a_lease_ends_after_its_own_time(ledger, at, jump):
    start = at().wall
    ledger.apply(lambda c: wall_clock.follow(c, at()))
    ledger.apply(lambda c: pauses.stop_lane(c, "smtp", "no", start, start + 30 * SECOND))
    ledger.apply(lambda c: workers.register(c, "w1", "here", "0", 1, "durable", None, start))
    ledger.apply(lambda c: wall_clock.follow(c, at(SECOND, jump)))

    def asks(elapsed):
        return ledger.apply(lambda c: circuit_breaker.claim(c, at(elapsed, jump).wall)) is not None

    def lives(elapsed):
        with ledger.read() as connection:
            return bool(workers.living(connection, at(elapsed, jump).wall))

    assert (asks(29 * SECOND), asks(30 * SECOND)) == (False, True)
    assert (lives(14 * SECOND), lives(15 * SECOND)) == (True, False)


def test_small_steps_another_boot_and_other_hosts_move_nothing(ledger, add, at):
    start = at().wall
    add(state=State.RETRYING, due_at=start + 60 * SECOND)
    ledger.apply(lambda c: wall_clock.follow(c, at()))
    assert ledger.apply(lambda c: wall_clock.follow(c, at(SECOND, SECOND))) == 0
    booted = ClockReading("here", "another boot", start + HOUR, 5)
    assert ledger.apply(lambda c: wall_clock.follow(c, booted)) == 0
    ledger.apply(lambda c: workers.register(c, "w2", "there", "0", 1, "durable", None, start + 2 * HOUR))
    again = ClockReading("here", "another boot", start + 2 * HOUR, 10)
    assert ledger.apply(lambda c: wall_clock.follow(c, again)) == 0
    with ledger.read() as connection:
        assert connection.scalar(sa.select(tasks.c.due_at)) == start + 60 * SECOND


def test_a_limit_for_one_address_does_not_wait_for_the_clock_to_catch_up(ledger, add):
    moment = now()
    add(name="welcome", recipient="ada@example.org", created_at=moment + HOUR)
    with ledger.read() as connection:
        found = rate_limit._accepted(connection, "welcome", ["ada@example.org"], moment, ((1, 60),))
    assert found == {}
