"""Repeatable chance: the same seed gives the same draws, on every machine and every Python."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final, TypeVar

T = TypeVar("T")

_FOLD: Final = str.maketrans("ĐđØøŁłðÐæÆ", "DdOoLldDaA", "'’.")


class SampleRandom:
    """Draws from one seed. Only `random()` is asked, whose numbers Python promises to keep for a seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random  # noqa: S311  # sample data, no secret

    def share(self) -> float:
        """Return a number from 0 up to 1."""
        return self._random()

    def happens(self, share: float) -> bool:
        """Return True in `share` of the cases."""
        return self._random() < share

    def number(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def around(self, middle: float, spread: float) -> float:
        """Return a number near `middle`: the mean of four draws, within `spread` either way."""
        return middle + spread * (sum(self._random() for _ in range(4)) / 2 - 1)

    def one(self, choices: Sequence[T]) -> T:
        """Return one of `choices`, all alike."""
        return choices[int(self._random() * len(choices))]

    def weighted(self, choices: Mapping[T, float]) -> T:
        """Return one of the keys, by weight."""
        left = self._random() * sum(choices.values())
        for choice, weight in choices.items():
            left -= weight
            if left < 0:
                return choice
        return choice

    def day(self, first: date, last: date) -> date:
        """Return a day from `first` to `last`, both included; `first` if the span is empty."""
        return first + timedelta(days=self.number(0, max((last - first).days, 0)))

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """Return `count` of `choices`, in their order."""
        left, wanted, chosen = len(choices), count, []
        for choice in choices:
            if self._random() * left < wanted:
                chosen.append(choice)
                wanted -= 1
            left -= 1
        return chosen


def plain(text: str) -> str:
    """Return `text` in the letters that an e-mail address has: `Núñez de la Cruz` is `nunezdelacruz`."""
    folded = unicodedata.normalize("NFKD", text.translate(_FOLD).replace("ß", "ss"))
    return "".join(c for c in folded if c.isascii() and c.isalnum()).lower()
