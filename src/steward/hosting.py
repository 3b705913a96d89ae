"""Runs handlers in warm child processes, where a crash, a hang or a hunger for memory cannot take the worker down."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import partial
from typing import Any

from steward.children import (
    ChildCancelled,
    ChildDied,
    ChildOverMemory,
    ChildRaised,
    Children,
    ChildTimedOut,
    Limits,
    send,
    stand_at,
)
from steward.errors import StewardError
from steward.plugins import Registry
from steward.preparation import Preparer
from steward.prepared import Failure, Outcome, Request
from steward.settings import Settings

log = logging.getLogger(__name__)

STALL = 2.0
"""Seconds after which a handler in a batch is taken out of it, so that its neighbours do not wait for it."""
TOGETHER = 0.02
"""Seconds for which a child may keep what is ready, to send it together: each message wakes the worker."""
MEMORY_MB = 512
LONE = 3
"""How many handlers may run alone at once: reports, jobs, and those that stalled or crashed in a batch."""


def host(argument: dict[str, Any]) -> Callable[[list[Request]], None]:
    """Make ready in a child process: plugins, templates and source; return what prepares a list of requests."""
    from steward.app import Steward
    from steward.operations import operations_for

    steward = Steward(Settings.model_validate(argument))
    preparer: Preparer = steward.preparer({"operations": operations_for(steward)})

    gc.set_threshold(10_000, 20, 50)  # letters leave no circles behind; to look for them cost 5 %, measured
    outcomes = _Outcomes()

    def serve(requests: list[Request]) -> None:
        send(("begun",))
        for place, request in enumerate(requests):
            stand_at(place)
            outcomes.add((request.task_id, preparer.prepare(request, partial(_tell, request.task_id))))
        outcomes.send()

    return serve


def _tell(task_id: str, fraction: float, text: str) -> None:
    send(("progress", task_id, fraction, text))


class _Outcomes:
    """What a child has ready and not sent; a thread sends it when it has waited `TOGETHER`, whatever runs then."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, Outcome]] = []
        self._some = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._send_in_time, name="outcomes", daemon=True).start()

    def add(self, outcome: tuple[str, Outcome]) -> None:
        with self._lock:
            self._kept.append(outcome)
        self._some.set()

    def send(self) -> None:
        with self._lock:  # until it is sent: the reply to the request must not come before it
            kept, self._kept = self._kept, []
            self._some.clear()
            if kept:
                send(("ready", kept))

    def _send_in_time(self) -> None:
        while self._some.wait():
            time.sleep(TOGETHER)
            self.send()


class HostedPreparer:
    """Batches go to one pool of children, what must run alone to another."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._registry = registry
        longest = max((h.time_limit for h in registry.handlers.values()), default=60.0)
        limits = Limits(seconds=longest + 5, cpu_seconds=longest + 60, memory_mb=MEMORY_MB, network=True)
        argument = settings.model_dump() | {"secret_key": settings.key.decode()}
        self._batches = Children(
            "steward.hosting:host", argument=argument, size=settings.handler_processes, limits=limits, name="handlers"
        )
        self._lone = Children(
            "steward.hosting:host", argument=argument, size=LONE, limits=limits, name="handlers alone"
        )
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="alone")

    def prepare_each(
        self,
        requests: Sequence[Request],
        ready: Callable[[str, Outcome], None],
        progress: Callable[[str, float, str], None],
        cancelled: Callable[[str], bool],
        begins: Callable[[str], None] = lambda task_id: None,
    ) -> None:
        """Call `ready` once for each request and return when all have been reported.

        `begins` is called just before a handler that runs alone is given its request.
        """
        left = list(requests)
        alone = []
        while len(left) > 1:
            reported, culprit = self._batch(left, ready, progress)
            left = [r for r in left if r.task_id not in reported and r is not culprit]
            if culprit is not None and culprit.task_id not in reported:
                alone.append(self._threads.submit(self._alone, culprit, ready, progress, cancelled, begins))
        if left:
            if alone:
                alone.append(self._threads.submit(self._alone, left[0], ready, progress, cancelled, begins))
            else:
                self._alone(left[0], ready, progress, cancelled, begins)
        wait_for(alone)

    def warm(self) -> None:
        """Start the children of the quick pool ahead of the first batch, and one for what comes alone: a reset."""
        self._batches.warm()
        self._lone.warm(1)

    def await_warm(self) -> None:
        """Return when a child of each pool is ready, or cannot be: then each task will say why."""
        for pool in (self._batches, self._lone):
            with contextlib.suppress(StewardError):
                pool.call([])

    def close(self) -> None:
        """Stop the children."""
        self._batches.close()
        self._lone.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _batch(
        self,
        requests: list[Request],
        ready: Callable[[str, Outcome], None],
        progress: Callable[[str, float, str], None],
    ) -> tuple[set[str], Request | None]:
        """Return whose outcome was reported, and at whose handler the batch was broken off."""
        reported: set[str] = set()
        culprit = None
        heard = [time.monotonic() + 30]  # a child that is still starting has longer

        def listen(message: Any) -> None:
            heard[0] = time.monotonic()
            if message[0] == "ready":
                for task_id, outcome in message[1]:
                    reported.add(task_id)
                    ready(task_id, outcome)
            elif message[0] == "progress":
                progress(*message[1:])

        try:
            self._batches.call(requests, cancelled=lambda: time.monotonic() - heard[0] > STALL, on_message=listen)
        except (ChildDied, ChildTimedOut, ChildOverMemory, ChildCancelled, ChildRaised) as error:
            log.warning("a batch of %d handlers was broken off after %d: %s", len(requests), len(reported), error)
            culprit = requests[max(error.place, 0)]  # before the first if the child could not even begin
        return reported, culprit

    def _alone(
        self,
        request: Request,
        ready: Callable[[str, Outcome], None],
        progress: Callable[[str, float, str], None],
        cancelled: Callable[[str], bool],
        begins: Callable[[str], None],
    ) -> None:
        handler = self._registry.handlers[request.name]
        # Quick letters share the batch pool, which is warm; only what takes long has processes of its own.
        pool = (
            self._batches if handler.lane in ("urgent", "mail", "bulk") and handler.time_limit <= STALL else self._lone
        )
        answer: list[Outcome] = []

        def listen(message: Any) -> None:
            if message[0] == "ready":
                answer.extend(outcome for _, outcome in message[1])
            elif message[0] == "progress":
                progress(*message[1:])

        try:
            pool.call(
                [request],
                seconds=handler.time_limit,
                cancelled=lambda: cancelled(request.task_id),
                on_message=listen,
                begins=lambda: begins(request.task_id),
            )
        except ChildTimedOut:
            answer = [Failure(f"The handler was stopped at its limit of {handler.time_limit:g} seconds.", crashed=1)]
        except ChildOverMemory:
            answer = [Failure(f"The handler needed more memory than its {MEMORY_MB} MB.", crashed=1)]
        except ChildDied as error:
            answer = [Failure(f"The handler ended its process ({error}).", crashed=1)]
        except ChildCancelled:
            answer = [Failure("Cancelled.", final=True)]
        except (ChildRaised, StewardError) as error:
            answer = [Failure(str(error))]
        ready(request.task_id, answer[0] if answer else Failure("The handler gave no answer.", crashed=1))
