"""Slows down whoever guesses: a few failures per address, then a pause."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from steward.errors import RateLimited
from steward.formats import counted

MOST_FAILURES = 8
WITHIN = 300.0
"""Seconds in which so many failures are allowed."""
_MOST_ADDRESSES = 4096


class Attempts:
    """Counts failed sign-ins per address, in memory; the oldest addresses are forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def require(self, address: str) -> None:
        """Return if `address` may try.

        Raises:
            RateLimited: it failed too often; `retry_after` says how long to wait.
        """
        recent = self._failures.get(address)
        while recent and recent[0] <= self._clock() - WITHIN:
            recent.popleft()
        if recent and len(recent) >= MOST_FAILURES:
            wait = int(recent[0] + WITHIN - self._clock()) + 1
            raise RateLimited(
                "Too many attempts to sign in",
                f"{MOST_FAILURES} failed",
                f"Try again in {counted(wait, 'second')}",
                wait,
            )

    def failed(self, address: str) -> None:
        """Count a failure."""
        self._failures.setdefault(address, deque(maxlen=MOST_FAILURES)).append(self._clock())
        self._failures.move_to_end(address)
        while len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)
