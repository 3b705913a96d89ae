"""Runs handlers in warm child processes, where a crash, a hang or a hunger for memory cannot take the worker down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from steward.errors import StewardError
from steward.installation.settings import Settings
from steward.plugins.registry import Registry
from steward.plugins.run_result import Failure, Outcome, Request
from steward.sandbox import (
    SandboxCall,
    SandboxCancelled,
    SandboxDied,
    SandboxLimits,
    SandboxOutOfMemory,
    SandboxPool,
    SandboxRaised,
    SandboxTimedOut,
)

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds after which a handler is left to itself: its neighbours go on in another process, without waiting for it."""
STALL = 2.0
"""Seconds after which a handler is suspected; and stopped, to begin again alone, where its neighbours still wait."""
SUSPECTED = 60.0
"""Seconds for which a handler that died, or took so long, has processes of its own."""
MEMORY_MB = 512
LONE = 3
"""How many handlers may run beside the others at once: reports, jobs, and those that died or took long."""
SPARE = 1
"""Processes kept ready beyond those for batches: for one that comes alone, and in place of one that dies."""


class _Work:
    """What is to be told of the requests that were handed over together, each once, from whatever thread."""

    def __init__(
        self,
        ready: Callable[[str, Outcome], None],
        progress: Callable[[str, float, str], None],
        cancelled: Callable[[str], bool],
        begins: Callable[[str], None],
        judge: Callable[[str, Outcome], None],
    ) -> None:
        """`judge` is called with each task's outcome before it is reported."""
        self._ready, self._progress, self.cancelled, self.begins = ready, progress, cancelled, begins
        self._judge = judge
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def hear(self, message: Any) -> None:
        """Pass on what a child says."""
        if message[0] == "ready":
            for task_id, outcome in message[1]:
                self.tell(task_id, outcome)
        elif message[0] == "progress":
            self._progress(*message[1:])

    def tell(self, task_id: str, outcome: Outcome) -> None:
        """Report an outcome, unless there was one: two children may have made the same one."""
        with self._lock:
            if task_id in self._told:
                return
            self._told.add(task_id)
        self._judge(task_id, outcome)
        self._ready(task_id, outcome)

    def open(self, requests: Sequence[Request]) -> list[Request]:
        """Return those of `requests` that nothing was told of."""
        with self._lock:
            return [request for request in requests if request.task_id not in self._told]

    def beside(self, function: Callable[..., None], *args: Any) -> None:
        """Call `function` in a thread of its own, which `finish` waits for."""
        thread = threading.Thread(target=function, args=args, name="beside", daemon=True)
        self._threads.append(thread)
        thread.start()

    def finish(self) -> None:
        """Return when every thread has ended, those too that they have started."""
        while self._threads:
            self._threads.pop().join()


class _Watch:
    """Watches one call: who takes long is set aside, with what it is at, and is stopped at its own limit."""

    def __init__(
        self,
        requests: Sequence[Request],
        work: _Work,
        limit: Callable[[str], float],
        suspect: Callable[[str], None],
        pass_by: Callable[[Request, Sequence[Request]], None],
        patience: float,
    ) -> None:
        """`pass_by` is called with who takes longer than `patience`, and those who come after it."""
        self._requests, self._work, self._limit = requests, work, limit
        self._suspect, self._pass_by, self._patience = suspect, pass_by, patience
        self._place, self._since = -1, time.monotonic()
        self.left_alone: Request | None = None
        self.timed_out = False

    def look(self, call: SandboxCall) -> bool:
        """Return whether the call is to be given up."""
        moment = time.monotonic()
        if call.place != self._place:
            self._place, self._since = call.place, moment
        if self._place < 0:
            return False
        request, took = self._requests[self._place], moment - self._since
        if took > STALL:
            self._suspect(request.name)
        if self.left_alone is None and took > self._patience and call.set_aside():
            self.left_alone = request
            self._pass_by(request, self._requests[self._place + 1 :])
        if self.left_alone is None:
            return took > STALL and len(self._requests) > 1
        self.timed_out = took > self._limit(request.name)
        return self.timed_out or self._work.cancelled(request.task_id)


class HostedPreparer:
    """One pool of children. Whoever dies or takes long in it holds nobody up: the rest has a warm one always."""

    def __init__(self, settings: Settings, registry: Registry, *, suspicion: float = SUSPECTED) -> None:
        """`suspicion` is for how many seconds a handler that died or hung is kept from the others; 0: nobody is."""
        self._registry, self._suspicion = registry, suspicion
        self._proven: set[str] = set()
        self._processes = settings.handler_processes
        longest = max((h.time_limit for h in registry.handlers.values()), default=60.0)
        limits = SandboxLimits(seconds=longest + 5, cpu_seconds=longest + 60, memory_mb=MEMORY_MB, network=True)
        self._pool = SandboxPool(
            "steward.worker.handler_process:host",
            argument=settings.model_dump() | {"secret_key": settings.key.decode()},
            size=settings.handler_processes,
            spare=SPARE,
            beside=LONE,
            limits=limits,
            name="handlers",
        )
        self._suspected: dict[str, float] = {}

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
        names = {request.task_id: request.name for request in requests}
        work = _Work(ready, progress, cancelled, begins, lambda task_id, outcome: self._judge(names[task_id], outcome))
        together: dict[str, list[Request]] = {}
        for request in requests:
            together.setdefault(request.name if self._is_suspected(request.name) else "", []).append(request)
        unsuspected = together.pop("", [])
        for group in together.values():
            work.beside(self._together, group, work)
        self._together(unsuspected, work)
        work.finish()

    def warm(self, *, spare: bool = True) -> None:
        """Start the children ahead of the first batch; those kept `spare` too, if they are not to come later."""
        self._pool.warm(None if spare else self._processes)

    def await_warm(self) -> None:
        """Return when the children are ready, or cannot be: then each task will say why."""
        self._pool.await_warm()

    def close(self) -> None:
        """Stop the children."""
        self._pool.close()

    def _together(self, requests: Sequence[Request], work: _Work) -> None:
        """Prepare `requests` in one child, one after the other; from who dies or takes long the others part."""
        left = list(requests)
        while len(left) > 1:
            culprit = self._batch(left, work)
            left = work.open(left) if culprit is not None else []
            if culprit in left:
                left.remove(culprit)
                work.beside(self._alone, culprit, work)
                # Those of its kind may do the same: they need not take the others with them.
                its_kind = [request for request in left if request.name == culprit.name]
                if its_kind and len(its_kind) < len(left):
                    left = [request for request in left if request.name != culprit.name]
                    work.beside(self._together, its_kind, work)
        for request in left:
            self._alone(request, work)

    def _batch(self, requests: Sequence[Request], work: _Work) -> Request | None:
        """Return at whose handler the batch was broken off, or None if nobody is left to be prepared here."""
        watch = self._watch(requests, work)
        try:
            self._pool.call(
                list(requests),
                on_message=work.hear,
                look=watch.look,
                aside=self._is_aside(requests[0]),
                single=False,
            )
        except (SandboxDied, SandboxTimedOut, SandboxOutOfMemory, SandboxCancelled, SandboxRaised) as error:
            if watch.left_alone is not None:
                work.tell(watch.left_alone.task_id, self._failure(watch.left_alone, error, timed_out=watch.timed_out))
                return None
            culprit = requests[max(error.place, 0)]  # before the first if the child could not even begin
            log.warning("a batch of %d handlers was broken off at %s: %s", len(requests), culprit.name, error)
            self._suspect(culprit.name)
            return culprit
        self._say_nothing_came(requests if watch.left_alone is None else [watch.left_alone], work)
        return None

    def _alone(self, request: Request, work: _Work) -> None:
        watch = self._watch([request], work)
        try:
            self._pool.call(
                [request],
                seconds=self._limit(request.name),
                cancelled=lambda: work.cancelled(request.task_id),
                on_message=work.hear,
                begins=lambda: work.begins(request.task_id),
                look=watch.look,
                aside=self._is_aside(request),
            )
        except (
            SandboxDied,
            SandboxTimedOut,
            SandboxOutOfMemory,
            SandboxCancelled,
            SandboxRaised,
            StewardError,
        ) as error:
            if isinstance(error, (SandboxDied, SandboxOutOfMemory)):
                self._suspect(request.name)
            work.tell(request.task_id, self._failure(request, error, timed_out=watch.timed_out))
        self._say_nothing_came([request], work)

    def _watch(self, requests: Sequence[Request], work: _Work) -> _Watch:
        def pass_by(one: Request, rest: Sequence[Request]) -> None:
            if rest:
                log.warning("%s takes long; %d handlers go on without it", one.name, len(rest))
                work.beside(self._together, rest, work)

        # Who did so before will do so again: another process is made ready at once.
        patience = 0.0 if self._is_suspected(requests[0].name) else PATIENCE
        return _Watch(requests, work, self._limit, self._suspect, pass_by, patience)

    def _say_nothing_came(self, requests: Sequence[Request], work: _Work) -> None:
        for request in work.open(requests):
            work.tell(request.task_id, Failure("The handler gave no answer.", crashed=1))

    def _failure(self, request: Request, error: Exception, *, timed_out: bool) -> Failure:
        if timed_out or isinstance(error, SandboxTimedOut):
            return Failure(f"The handler was stopped at its limit of {self._limit(request.name):g} seconds.", crashed=1)
        if isinstance(error, SandboxOutOfMemory):
            return Failure(f"The handler needed more memory than its {MEMORY_MB} MB.", crashed=1)
        if isinstance(error, SandboxDied):
            return Failure(f"The handler ended its process ({error}).", crashed=1)
        if isinstance(error, SandboxCancelled):
            return Failure("Cancelled.", final=True)
        return Failure(str(error))

    def _limit(self, name: str) -> float:
        return self._registry.handlers[name].time_limit

    def _is_aside(self, request: Request) -> bool:
        """Whether a request leaves the warm children to others: it takes long by its nature, or did so just now."""
        quick = self._registry.handlers[request.name].lane in ("urgent", "mail", "bulk")
        return not quick or self._is_suspected(request.name)

    def _suspect(self, name: str) -> None:
        self._suspected[name] = time.monotonic() + self._suspicion

    def _is_suspected(self, name: str) -> bool:
        """Whether a handler died or hung just now, or has not come to an end here yet: trust is earned."""
        unproven = bool(self._suspicion) and name not in self._proven
        return unproven or self._suspected.get(name, 0.0) > time.monotonic()

    def _judge(self, name: str, outcome: Outcome) -> None:
        if isinstance(outcome, Failure) and outcome.crashed:
            self._suspect(name)
        else:
            self._proven.add(name)
