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

    def adopt(self, slots: Sequence[str]) -> None:
        """Take over what the engine still holds for the dead workers of `slots`."""

    def prune(self) -> int:
        """Delete what the engine remembers of finished batches and return how many there were."""

    def close(self, seconds: float) -> None:
        """Take nothing more on, wait up to `seconds` for what is running, and stop."""
