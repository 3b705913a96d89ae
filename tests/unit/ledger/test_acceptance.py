"""Idempotency keys and the order of pages."""

import threading

import pytest

from steward.clock import now
from steward.errors import InvalidOption, KeyConflict, UnknownTask
from steward.ledger import acceptance, search
from steward.service import Query

from .conftest import entry


def test_fifty_at_once_make_one_task(ledger):
    ids, ready = [], threading.Barrier(50)

    def send():
        mine = entry()
        ready.wait()
        ids.append(ledger.apply(lambda c: acceptance.accept_once(c, mine, "k", "d"))[0])

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
    ledger.apply(lambda c: acceptance.accept_once(c, entry(), "k", "one"))
    with pytest.raises(KeyConflict):
        ledger.apply(lambda c: acceptance.accept_once(c, entry(), "k", "two"))


def test_keys_are_kept_two_days(ledger):
    moment = now()
    ledger.apply(lambda c: acceptance.accept_once(c, entry(created_at=moment - 47 * 3600 * 10**6), "new", "d"))
    ledger.apply(lambda c: acceptance.accept_once(c, entry(created_at=moment - 49 * 3600 * 10**6), "old", "d"))
    assert ledger.apply(lambda c: acceptance.forget_keys(c, moment)) == 1


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
    mine = add(recipient="me@example.org", name="reset", requested_by="shop")
    add()
    for query in (
        Query(recipient="me@example.org"),
        Query(name="reset"),
        Query(requested_by="shop"),
        Query(text="me@exam"),
        Query(text=mine[:30]),
    ):
        with ledger.read() as connection:
            assert [t.id for t in search.find(connection, query).tasks] == [mine]


def test_what_does_not_exist_is_said(ledger):
    with ledger.read() as connection:
        with pytest.raises(UnknownTask):
            search.get(connection, "x")
        with pytest.raises(InvalidOption, match="no state 'done'"):
            search.find(connection, Query(states=["done"]))
        with pytest.raises(InvalidOption, match="cursor"):
            search.find(connection, Query(cursor="'; DROP TABLE tasks"))
