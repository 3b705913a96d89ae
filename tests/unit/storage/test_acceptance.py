"""Idempotency keys and the order of pages."""

import threading

import pytest

from steward.errors import InvalidOption, KeyConflict, UnknownTask
from steward.model.service import Query
from steward.storage.tasks import idempotency, search
from steward.system.clock import now

from .conftest import entry, key


def test_fifty_at_once_make_one_task(ledger):
    ids, ready = [], threading.Barrier(50)

    def send():
        mine = entry()
        ready.wait()
        ids.append(ledger.apply(lambda c: idempotency.accept_once(c, mine, key("k", "d")))[0])

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 50
    assert len(set(ids)) == 1
    with ledger.read() as connection:
        assert sum(search.counts(connection).values()) == 1


def test_another_payload_under_the_key_is_a_conflict(ledger):
    ledger.apply(lambda c: idempotency.accept_once(c, entry(), key("k", "one")))
    with pytest.raises(KeyConflict):
        ledger.apply(lambda c: idempotency.accept_once(c, entry(), key("k", "two")))


def test_fifty_bulks_at_once_make_one(ledger):
    answers, ready = [], threading.Barrier(50)

    def send():
        mine = [entry() for _ in range(3)]
        ready.wait()
        answers.append(tuple(ledger.apply(lambda c: idempotency.accept_all_once(c, mine, key("k")))[0]))

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50
    assert len(set(answers)) == 1
    with ledger.read() as connection:
        assert sum(search.counts(connection).values()) == 3


def test_a_key_is_its_callers_alone(ledger):
    made = {}
    for caller in ("one", "another", "command line", "process"):
        made[caller] = ledger.apply(lambda c, who=caller: idempotency.accept_once(c, entry(), key("k", who, who)))
    assert all(created for _, created in made.values())
    assert len({task_id for task_id, _ in made.values()}) == 4
    for caller, (task_id, _) in made.items():
        again = ledger.apply(lambda c, who=caller: idempotency.accept_once(c, entry(), key("k", who, who)))
        assert again == (task_id, False)


def test_one_task_and_a_bulk_of_one_are_two_requests(ledger):
    ledger.apply(lambda c: idempotency.accept_all_once(c, [], key("none", "of none")))
    assert ledger.apply(lambda c: idempotency.accept_all_once(c, [], key("none", "of none"))) == ([], False)
    with pytest.raises(KeyConflict):
        ledger.apply(lambda c: idempotency.accept_all_once(c, [entry()], key("none", "of one")))


def test_a_key_from_before_is_known_by_what_was_compared_then(ledger):
    ledger.apply(lambda c: idempotency.accept_once(c, entry(), key("k", "name and payload")))
    found = ledger.apply(lambda c: idempotency.accept_once(c, entry(), key("k", "whole", earlier="name and payload")))
    assert not found[1]


def test_keys_are_kept_two_days(ledger):
    moment = now()
    ledger.apply(lambda c: idempotency.accept_once(c, entry(created_at=moment - 47 * 3600 * 10**6), key("new", "d")))
    ledger.apply(lambda c: idempotency.accept_once(c, entry(created_at=moment - 49 * 3600 * 10**6), key("old", "d")))
    assert ledger.apply(lambda c: idempotency.forget_keys(c, moment)) == 1


def test_pages_show_each_task_once_newest_first(ledger, add):
    ids = [add() for _ in range(25)]
    seen, cursor = [], None
    while True:
        with ledger.read() as connection:
            page = search.find(connection, Query(cursor=cursor, limit=10))
        seen += [t.id for t in page.tasks]
        add()  # what arrives meanwhile does not disturb the pages
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(ids, reverse=True)


def test_filters(ledger, add):
    mine = add(recipient="me@example.org", name="reset", requested_by="shop", owner_id="key 1")
    add()
    for query in (
        Query(recipient="me@example.org"),
        Query(name="reset"),
        Query(requested_by="shop"),
        Query(owner_id="key 1"),
        Query(owner_id="key 1", only=["reset", "other"]),
        Query(only=["reset"]),
        Query(text="me@exam"),
        Query(text=mine[:30]),
    ):
        with ledger.read() as connection:
            assert [t.id for t in search.find(connection, query).tasks] == [mine]


def test_an_owner_or_a_limit_that_is_empty_is_nobody_and_nothing(ledger, add):
    add(owner_id="key 1", requested_by="")
    with ledger.read() as connection:
        assert search.find(connection, Query(owner_id="")).tasks == ()
        assert search.find(connection, Query(only=[])).tasks == ()
        assert len(search.find(connection, Query(requested_by="")).tasks) == 1
        assert sum(search.counts(connection, "").values()) == 0
        assert sum(search.counts(connection, "key 1", ["reset"]).values()) == 0
        assert sum(search.counts(connection, "key 1").values()) == 1


def test_what_does_not_exist_is_said(ledger):
    with ledger.read() as connection:
        with pytest.raises(UnknownTask):
            search.get(connection, "x")
        with pytest.raises(InvalidOption, match="no state 'done'"):
            search.find(connection, Query(states=["done"]))
        with pytest.raises(InvalidOption, match="cursor"):
            search.find(connection, Query(cursor="'; DROP TABLE tasks"))
