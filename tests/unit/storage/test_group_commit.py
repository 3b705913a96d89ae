"""Committing together."""

import asyncio

import pytest
import sqlalchemy as sa

from steward.storage.database.group_commit import GroupCommit


def test_a_change_that_fails_does_not_take_its_neighbours_down(ledger):
    writer = GroupCommit(ledger)

    def insert(name):
        return lambda c: c.execute(sa.text("INSERT INTO lanes (name) VALUES (:n)"), {"n": name}).rowcount

    def fail(connection):
        raise RuntimeError("mine")

    futures = [writer.submit(fail if n == 50 else insert(f"lane{n}")) for n in range(100)]
    assert [f.result() for n, f in enumerate(futures) if n != 50] == [1] * 99
    with pytest.raises(RuntimeError, match="mine"):
        futures[50].result()
    writer.close()
    with ledger.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM lanes")) == 99


def test_closing_commits_what_is_queued(ledger):
    writer = GroupCommit(ledger)
    futures = [writer.submit(lambda c, n=n: n) for n in range(1000)]
    writer.close()
    assert [f.result(timeout=0) for f in futures] == list(range(1000))


def test_what_an_event_loop_awaits_is_written_together_and_gives_each_its_own_value(ledger):
    writer = GroupCommit(ledger, linger=0.05)
    groups = []

    def insert_each(connection, names):
        groups.append(list(names))
        connection.execute(sa.text("INSERT INTO lanes (name) VALUES (:n)"), [{"n": name} for name in names])
        return [f"{name} is there" for name in names]

    async def many():
        return await asyncio.gather(*(writer.commit(insert_each, f"lane{n}") for n in range(50)))

    assert asyncio.run(many()) == [f"lane{n} is there" for n in range(50)]
    assert len(groups) < 10
    writer.close()


def test_an_item_that_fails_does_not_take_those_down_that_are_written_with_it(ledger):
    writer = GroupCommit(ledger)

    def insert_each(connection, names):
        if "bad" in names:
            raise RuntimeError("mine")
        connection.execute(sa.text("INSERT INTO lanes (name) VALUES (:n)"), [{"n": name} for name in names])
        return [1] * len(names)

    async def three():
        wanted = [writer.commit(insert_each, name) for name in ("one", "bad", "two")]
        return await asyncio.gather(*wanted, return_exceptions=True)

    first, failed, last = asyncio.run(three())
    assert (first, last, str(failed)) == (1, 1, "mine")
    writer.close()
