"""Reaches a server by any of the addresses of its name: one that is dead, or mute, does not hide those that answer.

RFC 5321, section 5.1, asks that each is tried; the next one is begun while the one before hangs (RFC 8305), and then
whichever is first to greet us is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple, Protocol, TypeVar

APART: Final = 0.25
"""Seconds after which the next address is tried if this one has not answered at all (RFC 8305, section 5)."""
MUTE: Final = 30.0
"""Seconds after which it is tried if this one has taken the connection, and says nothing."""


class SmtpServerAddress(NamedTuple):
    """One address, as `socket` wants it."""

    family: int
    address: tuple[Any, ...]


class ClosableConnection(Protocol):
    """What an attempt gives."""

    def close(self) -> None:
        """Give it up."""


T = TypeVar("T", bound=ClosableConnection)


async def places(host: str, port: int, seconds: float) -> list[SmtpServerAddress]:
    """Return the addresses of `host`, by turns of each family, in the order in which the system prefers them.

    Raises:
        OSError: it has none, or no name server answered.
        TimeoutError: nobody said within `seconds`.
    """
    loop = asyncio.get_running_loop()
    found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), seconds)
    unique = list(dict.fromkeys(SmtpServerAddress(family, address) for family, _, _, _, address in found))
    first = [place for place in unique if place.family == unique[0].family]
    others = [place for place in unique if place.family != unique[0].family]
    return [place for pair in zip_longest(first, others) for place in pair if place is not None]


async def connected(place: SmtpServerAddress, seconds: float) -> socket.socket:
    """Return a socket that is connected to `place`.

    Raises:
        OSError: it refuses.
        TimeoutError: it did not answer within `seconds`.
    """
    # With its protocol named: asyncio lets small packets go at once (TCP_NODELAY) on such sockets alone.
    ours = socket.socket(place.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        ours.setblocking(False)
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(ours, place.address), seconds)
    except BaseException:
        ours.close()
        raise
    return ours


async def first_of(
    among: Sequence[SmtpServerAddress], attempt: Callable[[SmtpServerAddress, asyncio.Event], Awaitable[T]]
) -> T:
    """Return what the first successful `attempt` gives; it sets its event when its place has answered at all.

    Raises:
        ExceptionGroup: every attempt failed.
    """
    loop = asyncio.get_running_loop()
    left, failures = deque(among), list[Exception]()
    running: set[asyncio.Task[T]] = set()
    winner: T | None = None
    try:
        while left or running:
            answered = asyncio.Event()
            began = loop.time()
            if left:
                running.add(asyncio.ensure_future(attempt(left.popleft(), answered)))
            while running:
                until = began + (MUTE if answered.is_set() else APART)
                if left and loop.time() >= until:
                    break
                wait = min(until - loop.time(), APART) if left else None
                done, running = await asyncio.wait(running, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    error = task.exception()
                    if error is None and winner is None:
                        winner = task.result()
                    elif error is None:
                        task.result().close()
                    elif isinstance(error, Exception):
                        failures.append(error)
                    else:
                        raise error
                if winner is not None:
                    return winner
                if done and left:
                    break
        raise ExceptionGroup("no address answers", failures)
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_late)


def _close_late(task: asyncio.Task[Any]) -> None:
    """Give up a connection that came although it was no longer wanted."""
    with contextlib.suppress(asyncio.CancelledError, Exception):
        task.result().close()
