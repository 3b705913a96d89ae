"""When a task that failed is tried again, and when it is given up."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from steward.model.declaration.backoff import DELAYS, HOURLY, backoff
from steward.model.declaration.options import require_retry


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again after a failure that may pass.

    `delays` are seconds before the 2nd, 3rd, ... attempt; after the last one, `then` repeats. `attempts` is the
    most there will be, `within` the longest span since the first attempt, or since a person asked to try again.
    `jitter` is the share by which a delay varies, so that thousands of tasks do not come back in the same second.
    """

    delays: tuple[float, ...] = DELAYS
    then: float = HOURLY
    attempts: int = 30
    within: timedelta = timedelta(days=1)
    jitter: float = 0.2

    def __post_init__(self) -> None:
        require_retry(self)

    def delay(self, failures: int, chance: float | None = None) -> float | None:
        """Return the seconds to wait after the `failures`-th failure (from 1), or None if that was the last.

        `chance` (0 to 1) stands in for the random number, for tests.
        """
        if failures >= self.attempts:
            return None
        drawn = random.random() if chance is None else chance  # noqa: S311  # it spreads retries, and is no secret
        return backoff(failures, self.delays, self.then, self.jitter, drawn)


NO_RETRY = RetryPolicy(attempts=1)
