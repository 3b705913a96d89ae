"""Committing together."""

import pytest
import sqlalchemy as sa

from steward.storage.database.group_commit import GroupWriter


def test_a_change_that_fails_does_not_take_its_neighbours_down(ledger):
    writer = GroupWriter(ledger)

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
    writer = GroupWriter(ledger)
    futures = [writer.submit(lambda c, n=n: n) for n in range(1000)]
    writer.close()
    assert [f.result(timeout=0) for f in futures] == list(range(1000))
