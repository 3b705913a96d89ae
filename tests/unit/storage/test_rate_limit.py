"""At most so many tasks of one kind for one recipient, counted in the transaction that accepts them."""

import threading

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import RateLimited
from steward.storage.database import Ledger
from steward.storage.database.schema.tables import keys
from steward.storage.tasks import acceptance, idempotency, rate_limit, search
from steward.system.clock import SECOND, new_id, now

from .conftest import entry, key

LIMITS = ((1, 60), (5, 3600))


def reset(at=None, **changes):
    return entry(name="password_reset", at_most=LIMITS, created_at=at or now(), **changes)


def accept(ledger, *entries):
    ledger.apply(lambda c: acceptance.accept(c, entries))


def count(ledger) -> int:
    with ledger.read() as connection:
        return sum(search.counts(connection).values())


def test_the_second_within_a_minute_is_refused_with_the_time_to_wait(ledger):
    start = now()
    accept(ledger, reset(start))
    with pytest.raises(RateLimited, match="At most 1 a minute and 5 an hour") as caught:
        accept(ledger, reset(start + 20 * SECOND))
    assert caught.value.retry_after == 40
    assert "Try again in 40 seconds" in str(caught.value)
    accept(ledger, reset(start + 60 * SECOND))
    assert count(ledger) == 2


def test_the_sixth_within_an_hour_is_refused_until_the_first_is_an_hour_old(ledger):
    start = now()
    for n in range(5):
        accept(ledger, reset(start + n * 60 * SECOND))
    with pytest.raises(RateLimited) as caught:
        accept(ledger, reset(start + 600 * SECOND))
    assert caught.value.retry_after == 3000
    accept(ledger, reset(start + 3600 * SECOND))


def test_one_address_does_not_hold_back_another_nor_another_kind_of_task(ledger):
    accept(ledger, reset())
    accept(ledger, reset(recipient="bob@example.org"))
    accept(ledger, entry(name="welcome_email", at_most=LIMITS))
    accept(ledger, entry(name="digest"))
    accept(ledger, entry(name="digest"))
    accept(ledger, reset(recipient=None), reset(recipient=None))
    assert count(ledger) == 7


def test_what_was_cancelled_or_failed_counts(ledger):
    accept(ledger, reset(state="failed"))
    with pytest.raises(RateLimited):
        accept(ledger, reset())


def test_of_many_at_once_all_or_none_are_taken(ledger):
    people = [f"{n}@example.org" for n in range(1200)]
    accept(ledger, *(reset(recipient=p) for p in people))
    assert count(ledger) == 1200
    with pytest.raises(RateLimited):
        accept(ledger, reset(recipient="new@example.org"), reset(recipient=people[700]))
    with pytest.raises(RateLimited):
        accept(ledger, reset(recipient="twice@example.org"), reset(recipient="twice@example.org"))
    assert count(ledger) == 1200


def test_a_repeat_under_its_key_is_not_counted(ledger):
    first = reset()
    for _ in range(10):
        found = ledger.apply(lambda c: idempotency.accept_once(c, reset() if count(ledger) else first, key("k", "d")))
        assert found[0] == first.id
    with pytest.raises(RateLimited):
        ledger.apply(lambda c: idempotency.accept_once(c, reset(), key("another", "d")))


def test_whoever_goes_on_after_a_refusal_commits_no_key_without_its_task(ledger):
    accept(ledger, reset())
    with ledger.write() as connection:
        with pytest.raises(RateLimited):
            idempotency.accept_once(connection, reset(), key("k", "d"))
        acceptance.accept(connection, [entry(name="the caller's own")])
    with ledger.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(keys)) == 0
    assert count(ledger) == 2


def flooded(ledger) -> tuple[int, int]:
    """Ask from twenty threads at once; return how many were taken and how many refused."""
    ready, answers = threading.Barrier(20), []

    def ask():
        ready.wait()
        try:
            accept(ledger, reset(id=new_id()))
            answers.append(True)
        except RateLimited:
            answers.append(False)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers.count(True), answers.count(False)


def test_twenty_at_once_make_one(ledger):
    assert flooded(ledger) == (1, 19)


def test_twenty_at_once_make_one_on_postgresql_too(postgres_url):
    ledger = Ledger(postgres_url)
    ledger.open()
    assert flooded(ledger) == (1, 19)
    with pytest.raises(RateLimited):
        accept(ledger, reset(recipient="new@example.org"), reset())
    assert count(ledger) == 1
    ledger.close()


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 100)), min_size=1, max_size=3),
    st.lists(st.integers(0, 300), max_size=30),
)
def test_whatever_the_limits_no_span_ever_holds_more(limits, asked):
    taken = []
    for at in sorted(asked):
        early = rate_limit.wait(limits, taken, at * SECOND)
        if not early:
            taken.append(at * SECOND)
        else:
            # Exactly then, and no earlier, it would be taken.
            assert rate_limit.wait(limits, taken, at * SECOND + early) == 0
            assert rate_limit.wait(limits, taken, at * SECOND + early - 1) > 0
    for most, seconds in limits:
        for start in taken:
            assert sum(start <= t < start + seconds * SECOND for t in taken) <= most
