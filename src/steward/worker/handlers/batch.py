"""Requests that are run together in one child: who waits for each, and what the child is at."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from steward.plugins.run_result import HandlerRequest, RunResult
from steward.sandbox import SandboxCall

Runs = dict[str, tuple[HandlerRequest, "asyncio.Future[RunResult]"]]
"""Requests by their task, each with what its attempt awaits."""
Taken = tuple[HandlerRequest, "asyncio.Future[RunResult]", RunResult]


class HandlerBatch:
    """Requests that came together, and who waits for each; it is served in threads, and told in the event loop."""

    def __init__(self, runs: Runs, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting, self._loop = dict(runs), loop
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def take(self, outcomes: Sequence[tuple[str, RunResult]]) -> list[Taken]:
        """Return what is to be told, but for those who were told: two children may have made the same one."""
        with self._lock:
            return [(*self._waiting.pop(task_id), each) for task_id, each in outcomes if task_id in self._waiting]

    def answer(self, taken: Sequence[Taken]) -> None:
        """Tell who waits, and wake their event loop once."""
        if taken:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, taken)

    def open(self, requests: Sequence[HandlerRequest]) -> list[HandlerRequest]:
        """Return those of `requests` that nothing was told of."""
        with self._lock:
            return [request for request in requests if request.task_id in self._waiting]

    def beside(self, function: Callable[..., None], *args: Any) -> None:
        """SandboxCall `function` in a thread of its own, which `finish` waits for."""
        thread = threading.Thread(target=function, args=args, name="beside", daemon=True)
        self._threads.append(thread)
        thread.start()

    def finish(self) -> None:
        """Return when every thread has ended, those too that they have started."""
        while self._threads:
            self._threads.pop().join()


def _settle(taken: Sequence[Taken]) -> None:
    for _, future, outcome in taken:
        if not future.done():  # cancelled meanwhile
            future.set_result(outcome)


class HandlerWatch:
    """What one call is at, and for how long: whoever takes long is set aside, and is stopped at its own limit."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds after which others need not wait for the one that the child is at."""
        self._place, self._since, self._patience = -1, time.monotonic(), patience
        self.took = 0.0
        self.left_alone: HandlerRequest | None = None
        self.timed_out = False

    def at(self, call: SandboxCall, requests: Sequence[HandlerRequest]) -> HandlerRequest | None:
        """Look at the clock, and return the request that the child is at, or None before the first."""
        moment = time.monotonic()
        if call.place != self._place:
            self._place, self._since = call.place, moment
        self.took = moment - self._since
        return requests[self._place] if self._place >= 0 else None

    def goes_past(self, call: SandboxCall, request: HandlerRequest) -> bool:
        """Return whether those after `request` are to go on without it, from now on."""
        if self.left_alone is None and self.took > self._patience and call.set_aside():
            self.left_alone = request
            return True
        return False
