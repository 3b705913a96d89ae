"""Hides counts of few people, so that they can be neither read nor worked out from the figures beside them."""

from __future__ import annotations

from collections.abc import Mapping

FEWEST = 5
"""Counts of 1 to 4 people are never shown (what US funders commonly require of published tables)."""


def hidden(counts: Mapping[str, int]) -> frozenset[str]:
    """Return which groups must not be shown, when the sum of all of them is.

    The groups of fewer than `FEWEST` people; and the smallest others, until each group that is left out could be of
    more than one size, even for a reader who subtracts the rest from the sum and knows this rule. Groups of nobody
    tell nothing about anybody, and stay.
    """
    people = sorted((group for group in counts if counts[group] > 0), key=lambda group: (counts[group], group))
    chosen = [group for group in people if counts[group] < FEWEST]
    if not chosen:
        return frozenset()
    rest = [group for group in people if group not in chosen]
    while rest and not _is_safe([counts[group] for group in chosen]):
        # Groups of one size go together: which of them goes first would tell that the other is not smaller.
        alike = [group for group in rest if counts[group] == counts[rest[0]]]
        chosen, rest = chosen + alike, rest[len(alike) :]
    return frozenset(chosen if _is_safe([counts[group] for group in chosen]) else counts)


def _is_safe(left_out: list[int]) -> bool:
    """Return whether the sum of those left out allows of more than one answer."""
    most = (FEWEST - 1) * len(left_out)
    every_one_or_four = sum(left_out) == len(left_out) or (max(left_out) < FEWEST and sum(left_out) == most)
    return len(left_out) >= 2 and not every_one_or_four
