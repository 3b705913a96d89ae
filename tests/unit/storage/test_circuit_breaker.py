"""Mail's lane as a circuit breaker: when it stops, who asks, and what goes when it moves again."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from steward.model.states import State
from steward.storage.database.schema.tables import tasks
from steward.storage.fleet import circuit_breaker
from steward.storage.fleet.circuit_breaker import AGAIN, APART, LINE, STOOD_STILL, TRIAL, TURNED_AWAY, US
from steward.storage.tasks import attempts
from steward.storage.tasks.attempts import AttemptEnd
from steward.system.clock import SECOND, now

START = 1_000_000 * SECOND


def standing(ledger):
    with ledger.read() as connection:
        return circuit_breaker.standing(connection)


def fail(ledger, at, reason="away"):
    return ledger.apply(lambda c: circuit_breaker.unreachable(c, reason, at))


def put_off(ledger, task_id, how, at, due_at=None):
    """Begin an attempt and end it so."""
    claim = "c" * 36
    ledger.apply(lambda c: c.execute(tasks.update().where(tasks.c.id == task_id).values(state=State.QUEUED)))
    (task,) = ledger.apply(lambda c: attempts.begin(c, [task_id], "w1", claim, at))
    ending = AttemptEnd(
        task_id, task.attempt, claim, State.RETRYING, at, "no", due_at=due_at or at, counts=False, outcome=how
    )
    ledger.apply(lambda c: attempts.end(c, ending))


def test_the_third_failure_in_a_row_stops_it_once(ledger):
    assert not fail(ledger, START)
    assert standing(ledger).is_doubted
    assert not fail(ledger, START + AGAIN)
    assert not standing(ledger).is_open
    assert fail(ledger, START + 2 * AGAIN)
    found = standing(ledger)
    assert (found.is_open, found.stopped_at, found.kind) == (True, START + 2 * AGAIN, LINE)
    assert not fail(ledger, START + 3 * AGAIN)
    assert standing(ledger).stopped_at == START + 2 * AGAIN


def test_many_lines_lost_in_one_moment_are_one_failure(ledger):
    for n in range(20):
        assert not fail(ledger, START + n * APART // 40)
    assert standing(ledger).failures == 1


def test_a_success_between_begins_the_count_anew(ledger):
    for n in range(8):
        assert not fail(ledger, START + n * AGAIN)
        if n % 2:
            assert not ledger.apply(lambda c: circuit_breaker.passed(c, START))
    assert not standing(ledger).is_doubted


def test_a_refusal_of_us_stops_it_at_once_and_another_letter_asks_soon(ledger):
    assert ledger.apply(lambda c: circuit_breaker.refused(c, "relaying denied", START, "t1"))
    assert not ledger.apply(lambda c: circuit_breaker.refused(c, "relaying denied", START, "t2"))
    ledger.apply(lambda c: circuit_breaker.passed(c, START))
    ledger.apply(lambda c: circuit_breaker.refused(c, "relaying denied", START, "t1"))
    found = standing(ledger)
    assert (found.kind, found.task_id, found.try_at) == (US, "t1", START + AGAIN)
    ledger.apply(lambda c: circuit_breaker.passed(c, START))
    ledger.apply(lambda c: circuit_breaker.refused(c, "bad password", START))
    assert standing(ledger).try_at == START + TRIAL


@pytest.mark.parametrize("stop", ["line", "us"])
def test_of_many_who_want_to_ask_one_does_each_half_minute(ledger, stop):
    if stop == "us":
        ledger.apply(lambda c: circuit_breaker.refused(c, "bad password", START))
        at = START + TRIAL
    else:
        for n in range(3):
            fail(ledger, START + n * AGAIN)
        at = START + 2 * AGAIN + TRIAL
    for turn in range(3):
        moment = at + turn * TRIAL
        with ThreadPoolExecutor(8) as asking:
            claimed = list(asking.map(lambda m: ledger.apply(lambda c: circuit_breaker.claim(c, m)), [moment] * 8))
        assert sum(found is not None for found in claimed) == 1
        assert ledger.apply(lambda c, m=moment: circuit_breaker.claim(c, m + TRIAL - 1)) is None


def test_nobody_asks_while_it_moves(ledger):
    assert ledger.apply(lambda c: circuit_breaker.claim(c, START)) is None
    fail(ledger, START)
    ledger.apply(lambda c: circuit_breaker.passed(c, START))
    assert ledger.apply(lambda c: circuit_breaker.claim(c, START + TRIAL)) is None


def test_what_was_put_off_for_its_sake_goes_at_once_and_nothing_else(ledger, add):
    hour = 3600 * SECOND
    waits = {how: add() for how in (STOOD_STILL, TURNED_AWAY, "retrying")}
    for how, task_id in waits.items():
        put_off(ledger, task_id, how, START, START + hour)
    put_off(ledger, waits["retrying"], STOOD_STILL, START, START + hour)  # once, and its last attempt was its own
    put_off(ledger, waits["retrying"], "retrying", START, START + hour)
    fail(ledger, START)
    ledger.apply(lambda c: circuit_breaker.passed(c, START + SECOND))
    with ledger.read() as connection:
        due = {r.id: r.due_at for r in connection.execute(sa.select(tasks.c.id, tasks.c.due_at))}
        counted = connection.scalar(sa.select(sa.func.sum(tasks.c.failures)))
    assert due[waits[STOOD_STILL]] == due[waits[TURNED_AWAY]] == START + SECOND
    assert due[waits["retrying"]] == START + hour
    assert counted == 0


def test_a_stop_counts_against_a_task_once_others_have_passed_since_it_was_turned_away(ledger, add):
    task_id = add()

    def guilty():
        with ledger.read() as connection:
            return circuit_breaker.has_passed_since(connection, task_id)

    assert not guilty()
    put_off(ledger, task_id, STOOD_STILL, START)
    ledger.apply(lambda c: circuit_breaker.refused(c, "no relay", START, task_id))
    ledger.apply(lambda c: circuit_breaker.passed(c, START + 1))
    assert not guilty()
    put_off(ledger, task_id, TURNED_AWAY, START + 2)
    ledger.apply(lambda c: circuit_breaker.refused(c, "no relay", START + 2, task_id))
    assert not guilty()
    ledger.apply(lambda c: circuit_breaker.passed(c, START + 3))
    assert guilty()


def test_another_letter_asks_before_the_one_that_was_refused(ledger, add):
    moment = now()
    refused = add(priority=9, due_at=moment - 9 * SECOND)
    with ledger.read() as connection:
        assert circuit_breaker.letter_to_ask(connection, refused) == refused
    other = add(lane="bulk", due_at=moment)
    add(lane="reports", priority=9)
    with ledger.read() as connection:
        assert circuit_breaker.letter_to_ask(connection, refused) == other
