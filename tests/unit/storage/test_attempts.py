"""Attempts: conditional updates, late writers, dead workers, poison pills."""

import pytest

from steward.errors import StateConflict
from steward.model.results import Outcome
from steward.model.states import MAX_STARTS, State
from steward.storage.fleet import workers
from steward.storage.tasks import attempts, commands, deliveries, recovery, search
from steward.storage.tasks import claim as claims
from steward.storage.tasks.attempts import AttemptEnd
from steward.storage.tasks.deliveries import StoredDelivery
from steward.system.clock import SECOND, now

from .conftest import mark, record


def begin(ledger, ids, worker="w1", claim="c1"):
    return ledger.apply(lambda c: attempts.begin(c, ids, worker, claim, now()))


def get(ledger, task_id):
    with ledger.read() as connection:
        return search.get(connection, task_id)


def register(ledger, worker, moment=None):
    ledger.apply(lambda c: workers.register(c, worker, "host", "slot-0", 1, "durable", None, moment or now()))


def ending(task_id, claim="c1", state=State.SUCCEEDED, number=1, **more):
    return AttemptEnd(task_id, number, claim, state, now(), **more)


def test_only_one_of_two_begins(ledger, add):
    task_id = add()
    assert [t.id for t in begin(ledger, [task_id])] == [task_id]
    assert begin(ledger, [task_id], "w2", "c2") == []
    assert begin(ledger, [task_id], "w1", "c3") == []
    assert get(ledger, task_id).attempt == 1


def test_the_order_of_a_batch_is_kept(ledger, add):
    ids = [add() for _ in range(5)]
    assert [t.id for t in begin(ledger, ids[::-1])] == ids[::-1]


def test_a_late_writer_is_refused(ledger, add):
    task_id = add()
    register(ledger, "w1", now() - 60 * SECOND)
    begin(ledger, [task_id])
    with ledger.read() as connection:
        assert claims.dead_holders(connection, now()) == ["w1"]
    assert ledger.apply(lambda c: recovery.release(c, ["w1"], now())) == (1, 0)
    begin(ledger, [task_id], "w2", "c2")
    assert not ledger.apply(lambda c: attempts.end(c, ending(task_id)))
    ledger.apply(lambda c: attempts.end_each(c, [ending(task_id)]))
    copy = StoredDelivery(task_id, "c1", 0, "a@x.org", "<m@x>", "s", 1, b"x")
    assert not ledger.apply(lambda c: mark(c, copy))
    assert ledger.apply(lambda c: attempts.end(c, ending(task_id, "c2", number=2)))
    task = get(ledger, task_id)
    assert (task.state, [a.outcome for a in task.attempts]) == ("succeeded", ["lost", "succeeded"])


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.EXPIRED])
def test_what_is_finished_stays_so(ledger, add, state):
    task_id = add()
    begin(ledger, [task_id])
    assert ledger.apply(lambda c: attempts.end(c, ending(task_id, state=state)))
    assert not ledger.apply(lambda c: attempts.end(c, ending(task_id, state=State.RETRYING, due_at=1)))
    with pytest.raises(StateConflict):
        ledger.apply(lambda c: commands.cancel(c, task_id, now()))
    assert get(ledger, task_id).state == state


def test_cancelling_a_running_task_refuses_its_worker(ledger, add):
    task_id = add()
    begin(ledger, [task_id])
    ledger.apply(lambda c: commands.cancel(c, task_id, now()))
    with ledger.read() as connection:
        assert attempts.no_longer_held(connection, {task_id: "c1"}) == {(task_id, "c1")}
    assert not ledger.apply(lambda c: attempts.end(c, ending(task_id)))
    assert get(ledger, task_id).state == "cancelled"


def test_a_poison_pill_is_given_up_after_four_starts(ledger, add):
    pill, neighbour = add(), add()
    for start in range(MAX_STARTS):
        ids = [pill, neighbour] if start == 0 else [pill]
        begin(ledger, ids, f"w{start}", f"c{start}")
        ledger.apply(lambda c, number=start + 1: attempts.say_running(c, pill, number))
        ledger.apply(lambda c, w=f"w{start}": recovery.release(c, [w], now()))
        ledger.apply(lambda c: claims.wake(c, now() + 5 * SECOND))
    assert get(ledger, pill).state == "failed"
    assert "4 starts" in get(ledger, pill).error
    assert get(ledger, neighbour).state == "queued"
    with ledger.write() as connection:
        assert claims.take(connection, "mail", 10, "w9", now()) == [claims.ClaimedTask(neighbour, lost=1)]


def test_a_suspect_whose_handler_has_not_begun_when_its_worker_dies_is_no_more_suspect_than_before(ledger, add):
    task_id = add()
    begin(ledger, [task_id], "w0", "c0")
    ledger.apply(lambda c: recovery.release(c, ["w0"], now()))
    for n in range(1, 6):
        begin(ledger, [task_id], f"w{n}", f"c{n}")
        ledger.apply(lambda c, w=f"w{n}": recovery.release(c, [w], now()))
    task = get(ledger, task_id)
    assert (task.state, [a.outcome for a in task.attempts]) == ("queued", ["lost", *["stopped"] * 5])


def test_a_worker_that_leaves_in_good_order_is_not_held_against_its_tasks(ledger, add):
    task_id = add()
    for n in range(6):
        begin(ledger, [task_id], f"w{n}", f"c{n}")
        ledger.apply(lambda c, w=f"w{n}": recovery.release(c, [w], now(), counts=False))
    assert get(ledger, task_id).state == "queued"


def test_retry_resumes_with_who_did_not_get_it(ledger, add):
    task_id = add()
    begin(ledger, [task_id])
    for n, outcome in enumerate((Outcome.ACCEPTED, Outcome.REFUSED, Outcome.UNCERTAIN)):
        copy = StoredDelivery(task_id, "c1", n, f"{n}@x.org", f"<{n}@x>", "s", 1, b"x")
        ledger.apply(lambda c, copy=copy: mark(c, copy))
        if outcome is not Outcome.UNCERTAIN:
            ledger.apply(lambda c, copy=copy, o=outcome: record(c, copy, o, 250, "ok"))
    ledger.apply(lambda c: attempts.end(c, ending(task_id, state=State.FAILED)))
    ledger.apply(lambda c: commands.retry(c, task_id, now()))
    with ledger.read() as connection:
        copies = deliveries.stored(connection, [task_id])[task_id]
    assert [c.outcome for c in copies] == [Outcome.ACCEPTED, Outcome.DEFERRED, Outcome.DEFERRED]
    assert [c.possible_duplicate for c in copies] == [False, False, True]
    assert [c.wire for c in copies] == [None, None, b"x"]


def test_a_second_mark_over_an_uncertain_one_is_a_possible_duplicate_with_the_first_bytes(ledger, add):
    task_id = add()
    begin(ledger, [task_id])
    first = StoredDelivery(task_id, "c1", 0, "a@x.org", "<m@x>", "s", 1, b"first")
    ledger.apply(lambda c: mark(c, first))
    ledger.apply(lambda c: recovery.release(c, ["w1"], now()))
    begin(ledger, [task_id], "w2", "c2")
    second = StoredDelivery(task_id, "c2", 0, "a@x.org", "<m@x>", "s", 2, b"second")
    ledger.apply(lambda c: mark(c, second))
    # The frozen worker wakes and records its reply: the attempt is not its own any more.
    ledger.apply(lambda c: record(c, first, Outcome.REFUSED, 550, "late"))
    with ledger.read() as connection:
        copy = deliveries.stored(connection, [task_id])[task_id][0]
    assert (copy.outcome, copy.possible_duplicate, copy.wire) == (Outcome.UNCERTAIN, True, b"first")


def test_what_was_uncertain_stays_a_possible_duplicate_when_the_next_attempt_does_not_reach_the_dot(ledger, add):
    task_id = add()
    begin(ledger, [task_id])
    ledger.apply(lambda c: mark(c, copy(task_id, "c1", 1)))
    for number in (2, 3):
        ledger.apply(lambda c, n=number: recovery.release(c, [f"w{n - 1}"], now()))
        begin(ledger, [task_id], f"w{number}", f"c{number}")
        mine = copy(task_id, f"c{number}", number)
        ledger.apply(lambda c, m=mine: record(c, m, Outcome.DEFERRED, 450, "later", marked=False))
        with ledger.read() as connection:
            found = deliveries.stored(connection, [task_id])[task_id][0]
        assert (found.outcome, found.possible_duplicate, found.wire) == (Outcome.DEFERRED, True, b"x")


def copy(task_id, claim, number):
    return StoredDelivery(task_id, claim, 0, "a@x.org", "<m@x>", "s", number, b"x")


def test_a_start_is_not_held_against_a_task_whose_letters_were_being_sent(ledger, add):
    marked, about_to, preparing = add(), add(), add()
    for start in range(1, MAX_STARTS + 1):
        worker, claim = f"w{start}", f"c{start}"
        begin(ledger, [marked, about_to, preparing], worker, claim)
        ledger.apply(lambda c, n=start: attempts.say_running(c, preparing, n))
        copy = StoredDelivery(marked, claim, 0, "a@x.org", "<m@x>", "s", start, b"x")
        ledger.apply(lambda c, copy=copy: mark(c, copy))
        ledger.apply(lambda c, n=start: deliveries.say_sending(c, about_to, n))
        ledger.apply(lambda c, w=worker: recovery.release(c, [w], now()))
        ledger.apply(lambda c: claims.wake(c, now() + 5 * SECOND))
    assert [get(ledger, each).state for each in (marked, about_to, preparing)] == ["queued", "queued", "failed"]
    assert [a.outcome for a in get(ledger, about_to).attempts] == ["stopped"] * MAX_STARTS
