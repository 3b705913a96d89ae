"""Hides counts of few people, so that they can be neither read nor worked out from the figures beside them."""

from __future__ import annotations

from collections.abc import Mapping

FEWEST = 5
"""Counts of 1 to 4 people are never shown (what US funders commonly require of published tables)."""


def hidden(counts: Mapping[str, int]) -> frozenset[str]:
    """Return which groups must not be shown, when the sum of all of them is.

    The groups of fewer than `FEWEST` people; and the smallest others until what is left out cannot be worked out by
    subtracting from the sum: at least two groups, together at least `FEWEST` people, and more people than groups (or
    each would be one person). Groups of nobody tell nothing about anybody, and stay.
    """
    people = sorted((group for group in counts if counts[group] > 0), key=lambda group: (counts[group], group))
    chosen = [group for group in people if counts[group] < FEWEST]
    if not chosen:
        return frozenset()
    rest = [group for group in people if group not in chosen]
    while rest and not _is_safe([counts[group] for group in chosen]):
        chosen.append(rest.pop(0))
    return frozenset(chosen if _is_safe([counts[group] for group in chosen]) else counts)


def _is_safe(left_out: list[int]) -> bool:
    return len(left_out) >= 2 and sum(left_out) >= max(FEWEST, len(left_out) + 1)
