"""Slows down whoever guesses: a few failures per address, then a pause."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from steward.errors import RateLimited
from steward.model.formats import counted

MOST_FAILURES = 8
WITHIN = 300.0
"""Seconds in which so many failures are allowed."""
_MOST_ADDRESSES = 4096


class LoginThrottle:
    """Counts attempts to sign in per address, in memory; the oldest addresses are forgotten first.

    An attempt counts from its beginning, so that a hundred at once are no better than one after another. One that
    turns out right counts no more, and is let in however many others were wrong: whoever shares a proxy with somebody
    who guesses is not locked out. Nothing is lost by that, for keys and links are too long to be guessed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: OrderedDict[str, list[float]] = OrderedDict()

    @contextmanager
    def one(self, address: str) -> Iterator[LoginAttempt]:
        """Give an attempt from `address`, counted; if the block ends without `LoginAttempt.fail`, it counts no more."""
        attempt = LoginAttempt(*self._begin(network_of(address)))
        try:
            yield attempt
        finally:
            if not attempt.failed and attempt.begun in attempt.others:
                attempt.others.remove(attempt.begun)

    def _begin(self, network: str) -> tuple[float, list[float], int]:
        moment = self._clock()
        others = self._counted.setdefault(network, [])
        others[:] = [each for each in others if each > moment - WITHIN]
        wait = int(others[0] + WITHIN - moment) + 1 if len(others) >= MOST_FAILURES else 0
        if not wait:
            others.append(moment)
            self._counted.move_to_end(network)
        while len(self._counted) > _MOST_ADDRESSES:
            self._counted.popitem(last=False)
        return moment, others, wait


class LoginAttempt:
    """One attempt; `wait` is for how many seconds one more failure is one too many."""

    def __init__(self, begun: float, others: list[float], wait: int) -> None:
        self.begun, self.others, self.wait = begun, others, wait
        self.failed = False

    def fail(self) -> None:
        """Let it count.

        Raises:
            RateLimited: too many have failed; `retry_after` says how long to wait.
        """
        self.failed = True
        if self.wait:
            raise RateLimited(
                "Too many attempts to sign in",
                f"{MOST_FAILURES} failed",
                f"Try again in {counted(self.wait, 'second')}",
                self.wait,
            )


def network_of(address: str) -> str:
    """Return what stands for whoever has `address`: for IPv6 its network of 64 bits, which one household is given."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 6:
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
