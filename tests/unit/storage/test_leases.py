"""Leases of duties that one process has at a time."""

import threading

from steward.storage.fleet import leases
from steward.system.clock import SECOND, now


def hold(ledger, holder, moment, seconds=10):
    return ledger.apply(lambda c: leases.hold(c, "relay", holder, moment, moment + seconds * SECOND))


def test_one_holds_and_renews_and_another_takes_what_has_run_out(ledger):
    moment = now()
    assert hold(ledger, "a", moment)
    assert not hold(ledger, "b", moment + 9 * SECOND)
    assert hold(ledger, "a", moment + 9 * SECOND)
    assert not hold(ledger, "b", moment + 18 * SECOND)
    assert hold(ledger, "b", moment + 19 * SECOND)
    assert not hold(ledger, "a", moment + 19 * SECOND)
    with ledger.read() as connection:
        assert leases.holder_of(connection, "relay", moment + 20 * SECOND) == "b"
        assert leases.holder_of(connection, "relay", moment + 30 * SECOND) is None


def test_a_lease_that_is_given_back_is_free_at_once(ledger):
    moment = now()
    assert hold(ledger, "a", moment)
    ledger.apply(lambda c: leases.drop(c, ["a", "nobody"]))
    assert hold(ledger, "b", moment)


def test_of_many_who_ask_at_once_one_gets_it(ledger):
    ready, got, moment = threading.Barrier(12), [], now()

    def ask(name):
        ready.wait()
        if hold(ledger, name, moment):
            got.append(name)

    threads = [threading.Thread(target=ask, args=(str(n),)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
