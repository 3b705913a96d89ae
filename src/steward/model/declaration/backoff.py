"""How long to wait before another attempt: a pure function of what failed before, with jitter."""

from __future__ import annotations

from collections.abc import Sequence

DELAYS = (30.0, 120.0, 360.0, 900.0, 1800.0)
"""Seconds before the 2nd, 3rd, ... attempt, unless a handler says otherwise."""
HOURLY = 3600.0


def backoff(failures: int, delays: Sequence[float], then: float, jitter: float, drawn: float) -> float:
    """Return the seconds to wait after the `failures`-th failure (from 1).

    After the last of `delays`, `then` repeats. `drawn` (0 to 1, evenly spread) moves the wait by at most the share
    `jitter` of it, up or down, so that thousands of tasks do not come back in the same second.
    """
    base = delays[failures - 1] if failures <= len(delays) else then
    return base * (1 + jitter * (2 * drawn - 1))
