"""The promise of running ids: "run these now, at least once"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Perform = Callable[[Sequence[str]], None]


class Engine(Protocol):
    """Takes batches of task ids from the dispatcher and has them performed. The payload never travels with them.

    One is made by each worker with the function that performs, which may be called from any thread, with several
    batches at a time, and blocks until the attempts of its batch are over. It keeps nothing that would be missed: what
    is due and in whose hand is a fact of the ledger, and what an engine loses is handed over again.
    """

    name: str

    def hand_over(self, ids: Sequence[str], done: Callable[[], None]) -> None:
        """Have `ids` performed, and call `done` once when they have been, from any thread; returns at once.

        Called from the dispatcher's thread alone. No batch waits for another one to end: what is urgent is handed over
        while long work runs. `done` is called as well where performing has raised: the ledger gives the tasks to
        somebody again. Handing the same ids over twice is harmless: starting an attempt is one conditional update in
        the ledger.
        """

    def close(self, seconds: float) -> None:
        """Take nothing more on, wait up to `seconds` for what is running, and stop. Called once, at the end.

        What hangs is left behind: the process ends next, and the ledger gives its tasks to others.
        """


class Broker(Protocol):
    """Carries ids to workers elsewhere. It may lose all of them: the dispatcher hands over again what was not begun."""

    name: str

    def publish(self, lane: str, ids: Sequence[str]) -> None:
        """Put `ids` into the queue of `lane`; confirmed when this returns.

        Raises:
            BrokerUnavailable: not within a few seconds. It may have arrived all the same.
        """

    def waiting(self, lane: str) -> int:
        """Return how many messages wait in the queue of `lane`, those that a worker has taken not counted.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """

    def close(self) -> None:
        """Leave the broker."""
