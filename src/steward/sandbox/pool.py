"""A pool of warm child processes: each call has one to itself; those that die are replaced."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from steward.sandbox.failures import SandboxCancelled
from steward.sandbox.frames import Codec
from steward.sandbox.limits import SandboxLimits
from steward.sandbox.process import LOOK, TICK, SandboxProcess
from steward.sandbox.server import SandboxSetup


def pickled(request: Any) -> bytes:
    """Return `request` as a child reads it."""
    return pickle.dumps(request, protocol=pickle.HIGHEST_PROTOCOL)


def _never() -> bool:
    return False


class SandboxCall:
    """A child that is lent to one caller."""

    def __init__(self, pool: SandboxPool, child: SandboxProcess) -> None:
        self._pool, self._child = pool, child
        self._talk: Generator[Any, None, Any] | None = None
        self.reply: Any = None

    def talk(self, content: bytes, seconds: float | None = None) -> Iterator[Any]:
        """Ask with a pickled request: yields what the child says, and LOOK ten times a second, until it replies.

        `seconds` replaces the pool's limit of time; warming up does not count. The answer is in `reply` then.

        Raises:
            SandboxDied, SandboxTimedOut, SandboxOutOfMemory, SandboxCancelled: the process is gone; another follows.
            SandboxRaised: the child's function raised; it lives on.
            StewardError: the child's function raised this very error; it lives on.
        """
        self._talk = self._child.talk(content, self._pool.limits.seconds if seconds is None else seconds)
        while True:
            try:
                news = next(self._talk)
            except StopIteration as end:
                self.reply = end.value
                return
            yield news

    def give_up(self) -> None:
        """End the talk, and the child with it.

        Raises:
            SandboxCancelled: always; it tells what the child was at.
        """
        if self._talk is not None:
            self._talk.throw(self._child.given_up())

    @property
    def place(self) -> int:
        """Which part of its work the child is at, by `stand_at`; -1 before the first."""
        return self._child.place

    def set_aside(self) -> bool:
        """Let the child end with the part that it is at, and another have its turn; return whether that may be."""
        return self._pool._set_aside(self._child)


class SandboxPool:
    """Up to `size` processes that serve `entry`, and those set aside.

    `spare` more are kept ready, for calls that must not wait for a process to start, and in place of one that dies.
    `beside` calls may be made aside: they do not count among those that work, and leave others their warm processes.
    Twice as many may be set aside later, because they take long.

    `entry` is "module:function", importable in a child through this process's import path. In the child,
    `function(argument)` is called once to warm up and returns the callable that answers each request. A child that has
    answered `max_uses` times, or keeps more than half of its memory while at rest, is replaced. `codec` says how what
    comes back is written: "pickle", or "json" for children that read hostile input, from which nothing is unpickled.
    `environment` replaces the inherited one. Nothing starts before the first call or `warm`; idle children cost no
    processor time. A pool belongs to the process that made it: make it after forking.
    """

    def __init__(
        self,
        entry: str,
        *,
        argument: Any = None,
        size: int = 1,
        spare: int = 0,
        beside: int = 0,
        limits: SandboxLimits,
        max_uses: int = 500,
        name: str,
        codec: Codec = "pickle",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.limits = name, limits
        self._order: Final = SandboxSetup(entry, argument, limits, codec)
        self._size, self._max_uses, self._environment = size, max_uses, environment
        self._kept, self._beside = size + spare, beside
        self._changed = threading.Condition()
        self._all: set[SandboxProcess] = set()
        self._idle: list[SandboxProcess] = []
        self._aside: set[SandboxProcess] = set()
        self._closed = False
        # The kernel ends a child with the thread that started it: so one thread starts them all, and lives on.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-starter")

    def warm(self, most: int | None = None) -> None:
        """Start every process now, or `most` of them, and do not wait for them."""
        with self._changed:
            while not self._closed and len(self._all) < min(self._kept, most or self._kept):
                self._idle.append(self._start())

    def await_warm(self) -> None:
        """Return when every process has warmed up, or has failed to."""
        with self._changed:
            while not self._closed and not all(c.is_warm or not c.is_alive for c in self._idle):
                self._changed.wait(TICK)

    def call(
        self,
        request: Any,
        *,
        seconds: float | None = None,
        cancelled: Callable[[], bool] = _never,
        on_message: Callable[[Any], None] | None = None,
    ) -> Any:
        """Return the child's reply to `request`; waits for a free child. From any thread.

        `seconds` replaces the limit of time for this call; waiting and warming up do not count. `cancelled` is asked
        ten times a second. `on_message` gets what the child sends while it works, in this thread. Raises as `talk`.
        """
        content = pickled(request)
        with self.lend(cancelled) as child:
            for news in child.talk(content, seconds):
                if news is LOOK:
                    if cancelled():
                        child.give_up()
                elif on_message is not None:
                    on_message(news)
            return child.reply

    @contextmanager
    def lend(
        self, cancelled: Callable[[], bool] = _never, *, aside: bool = False, single: bool = True
    ) -> Iterator[SandboxCall]:
        """Lend a child while the block lasts; waits for a free one. From any thread.

        `cancelled` is asked while it waits. `aside` lends one beside the others; whoever is not `single` leaves the
        spare processes to those that are.

        Raises:
            SandboxCancelled: it is not wanted any more, or the pool is closed.
        """
        child = self._take(cancelled, aside, self._kept if single else self._size)
        try:
            yield SandboxCall(self, child)
        finally:
            self._give_back(child)

    def pids(self) -> list[int]:
        """Return the process ids of the children."""
        with self._changed:
            return sorted(child.pid for child in self._all)

    def close(self) -> None:
        """Stop every process; calls in progress end with SandboxCancelled. Harmless when repeated."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = self._all.difference(idle)
            self._all.difference_update(idle)
            self._changed.notify_all()
        for child in busy:
            child.cancel()
        for child in idle:
            child.kill()
        with self._changed:
            self._changed.wait_for(lambda: not self._all, timeout=1)
        self._starter.shutdown(wait=False)

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, cancelled: Callable[[], bool], aside: bool, most: int) -> SandboxProcess:
        while True:
            with self._changed:
                if self._closed:
                    raise SandboxCancelled(f"The work in {self.name} was not begun", "The service is stopping")
                for dead in [c for c in self._idle if not c.is_alive]:
                    self._idle.remove(dead)
                    self._all.discard(dead)
                    dead.kill()
                child = self._beside_others() if aside else self._among_others(most)
                if child is not None:
                    self._idle.remove(child)
                    if aside:
                        self._aside.add(child)
                    return child
                self._changed.wait(TICK)
            if cancelled():
                raise SandboxCancelled(f"The work in {self.name} was not begun", "It is no longer wanted")

    def _among_others(self, most: int) -> SandboxProcess | None:
        """Return a free child if fewer than `most` work."""
        there = len(self._all) - len(self._aside)
        if there - len(self._idle) >= most:
            return None
        warm = next((c for c in self._idle if c.is_warm), None)
        if warm is None and not self._idle and there < self._kept:
            self._idle.append(self._start())
            there += 1
        # One that is still starting is waited for only if none that is warm can become free sooner.
        return self._idle[0] if warm is None and self._idle and len(self._idle) == there else warm

    def _beside_others(self) -> SandboxProcess | None:
        """Return a free child if that leaves enough to those that are not aside."""
        if len(self._aside) >= self._beside:
            return None
        warm = [c for c in self._idle if c.is_warm]
        there = len(self._all) - len(self._aside)
        starting = len(self._idle) - len(warm)
        if warm and there - starting > self._size:
            return warm[0]
        if not starting and len(self._all) < self._kept + self._beside:
            self._idle.append(self._start())
        return None

    def _set_aside(self, child: SandboxProcess) -> bool:
        with self._changed:
            if child not in self._aside:
                if len(self._aside) >= 2 * self._beside or self._closed:
                    return False
                self._aside.add(child)
            child.go_no_further()
            if len(self._all) - len(self._aside) < self._kept:
                self._idle.append(self._start())
            self._changed.notify_all()
            return True

    def _give_back(self, child: SandboxProcess) -> None:
        with self._changed:
            self._aside.discard(child)
            served = child.uses > 0
            room = len(self._all) <= self._kept + self._beside
            if child.usable and child.uses < self._max_uses and not child.has_grown and room and not self._closed:
                self._idle.append(child)
            else:
                child.kill()
                self._all.discard(child)
                # One that could not even warm up would fail again: wait for a call.
                if served and not self._closed and len(self._all) - len(self._aside) < self._kept:
                    self._idle.append(self._start())
            self._changed.notify_all()

    def _start(self) -> SandboxProcess:
        child = self._starter.submit(SandboxProcess, self._order, self.name, self._environment).result()
        self._all.add(child)
        return child
