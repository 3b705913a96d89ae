"""The worker's own pool: every batch runs at once, and is said to be done however it ended."""

import threading

import pytest

from steward.system.clock import new_id
from steward.worker.engines.embedded.pool import WorkerPool

LIMIT = 10


@pytest.fixture
def make():
    """Makes pools; whoever still waits in one is let go at the end."""
    pools = []

    def make(perform, threads=4):
        pools.append(WorkerPool(perform, threads=threads))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close(LIMIT)


def test_a_batch_is_performed_and_said_to_be_done(make):
    performed, done = [], threading.Event()
    ids = [new_id(), new_id()]
    make(performed.append).hand_over(ids, done.set)
    assert done.wait(LIMIT)
    assert performed == [ids]


def test_a_batch_that_breaks_off_is_said_to_be_done_too_and_the_log_says_why(make, caplog):
    done = threading.Event()

    def perform(ids):
        raise RuntimeError("the store failed")

    make(perform).hand_over([new_id()], done.set)
    assert done.wait(LIMIT)
    (record,) = caplog.records
    assert record.getMessage() == "a batch of 1 tasks broke off"
    assert "the store failed" in str(record.exc_info)


def test_as_many_batches_run_at_once_as_the_dispatcher_may_hand_over_and_nobody_waits_for_the_other(make):
    together, done = threading.Barrier(5), threading.Semaphore(0)
    pool = make(lambda ids: together.wait(LIMIT), threads=4)
    for _ in range(4):
        pool.hand_over([new_id()], done.release)
    together.wait(LIMIT)  # the four are here, each in a thread of its own
    for _ in range(4):
        assert done.acquire(timeout=LIMIT)


def test_a_thread_is_used_again(make):
    threads, done = set(), threading.Semaphore(0)
    pool = make(lambda ids: threads.add(threading.get_ident()))
    for _ in range(20):
        pool.hand_over([new_id()], done.release)
        assert done.acquire(timeout=LIMIT)
    assert len(threads) <= 2  # one may still be on its way back when the next batch comes


def test_what_runs_is_waited_for_at_the_end_as_long_as_asked(make):
    gate, over, done = threading.Event(), [], threading.Event()

    def perform(ids):
        gate.wait(LIMIT)
        over.append(ids)

    pool = make(perform)
    pool.hand_over([new_id()], done.set)
    pool.close(0)
    assert over == [], "it is neither waited for nor interrupted"
    gate.set()
    assert done.wait(LIMIT)
    assert len(over) == 1


def test_closing_returns_when_what_ran_has_ended(make):
    begun, gate, over = threading.Event(), threading.Event(), []

    def perform(ids):
        begun.set()
        gate.wait(LIMIT)
        over.append(ids)

    pool = make(perform)
    pool.hand_over([new_id()], lambda: None)
    assert begun.wait(LIMIT)
    gate.set()
    pool.close(LIMIT)
    assert len(over) == 1


def test_a_closed_pool_takes_nothing_on(make):
    performed, done = [], []
    pool = make(performed.append)
    pool.close(0)
    with pytest.raises(RuntimeError):
        pool.hand_over([new_id()], lambda: done.append(1))
    assert (performed, done) == ([], [])
