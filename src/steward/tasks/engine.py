"""The promise of running ids: "run these now, at least once"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Perform = Callable[[Sequence[str]], None]


class Engine(Protocol):
    """Takes batches of task ids from the relay and has them performed. The payload never travels with them."""

    name: str

    def hand_over(self, ids: Sequence[str], done: Callable[[], None]) -> None:
        """Have `ids` performed and call `done` when they have been; returns at once.

        Handing the same ids over twice is harmless: starting an attempt is one conditional update in the ledger.
        """

    def close(self, seconds: float) -> None:
        """Take nothing more on, wait up to `seconds` for what is running, and stop."""


class Broker(Protocol):
    """Carries ids to workers elsewhere. It may lose all of them: the relay hands over again what was not begun."""

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
