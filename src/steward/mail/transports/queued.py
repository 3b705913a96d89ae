"""What a transport of one's own needs beside carrying: a loop in a thread, an order in which parcels go, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from dataclasses import replace
from typing import ClassVar, Final

from steward.mail.transport import BeforeDot, Parcel, Reply, nothing_before_dot
from steward.system.masking import masked

_PATIENCE: Final = 4.0
"""Seconds for which `close` waits for what is being carried."""
_END: Final = -1
"""The urgency of what ends a sender: it comes before all that waits."""

_Waiting = tuple[int, int, tuple[Parcel, BeforeDot, Future[Reply]] | None]


class QueuedTransport(ABC):
    """Keeps the promise of `Transport` for a subclass that says in coroutines how one parcel is carried.

    `senders` parcels are carried at a time, urgent ones first. The coroutines run in one event loop, which owns what
    they use: an HTTP client is best made in `__init__` and closed in `leave`. What is secret in the settings is masked
    in the replies.
    """

    name: ClassVar[str] = "queued"

    def __init__(self, senders: int) -> None:
        self._senders, self._numbers = senders, itertools.count()
        self._queue: asyncio.PriorityQueue[_Waiting] = asyncio.PriorityQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=self.name, daemon=True)
        self._thread.start()
        self._working = asyncio.run_coroutine_threadsafe(self._work_all(), self._loop)

    @abstractmethod
    async def carry(self, parcel: Parcel, before_dot: BeforeDot) -> Reply:
        """Carry one parcel, await `before_dot` once on the way, and return what became of it; see `Transport.send`.

        It returns a `Reply` for whatever goes wrong outside. What it raises is a fault of its own: the attempt fails.
        """

    @abstractmethod
    async def probe(self) -> Reply:
        """Return whether the server is there and takes us, without sending; see `Transport.check`."""

    async def leave(self) -> None:  # noqa: B027  # not everybody holds something
        """Free what the subclass holds; called once, when nothing is carried any more."""

    def send(self, parcel: Parcel, before_dot: BeforeDot = nothing_before_dot) -> Future[Reply]:
        """Put `parcel` with what waits; see `Transport.send`."""
        future: Future[Reply] = Future()
        waiting = (0 if parcel.urgent else 1, next(self._numbers), (parcel, before_dot, future))
        self._loop.call_soon_threadsafe(self._queue.put_nowait, waiting)
        return future

    def check(self) -> Reply:
        """Ask the server; see `Transport.check`."""
        return _discreet(asyncio.run_coroutine_threadsafe(self.probe(), self._loop).result())

    def silent(self, seconds: float) -> int:
        """Return 0: whoever can be silent for long counts that in `carry`."""
        return 0

    def reconnect(self) -> None:  # noqa: B027  # as `silent`
        """Do nothing: as `silent`."""

    def close(self) -> None:
        """Let what is being carried come to its end, and stop; see `Transport.close`."""
        if not self._thread.is_alive():
            return
        for _ in range(self._senders):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (_END, next(self._numbers), None))
        with contextlib.suppress(TimeoutError):
            self._working.result(_PATIENCE)
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self.leave(), self._loop).result(1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)

    async def _work_all(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(self._senders)))

    async def _work(self) -> None:
        while (waiting := (await self._queue.get())[2]) is not None:
            parcel, before_dot, future = waiting
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(_discreet(await self.carry(parcel, before_dot)))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):
                    raise


def _discreet(reply: Reply) -> Reply:
    """Return `reply` without what is hidden, which a server may repeat, and without what cannot be shown."""
    words = "".join(each if each.isprintable() else " " for each in masked(reply.text))
    return reply if words == reply.text else replace(reply, text=words)
