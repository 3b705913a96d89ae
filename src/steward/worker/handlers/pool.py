"""Runs handlers in warm child processes, where a crash, a hang or a hunger for memory cannot take the worker down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from steward.errors import StewardError
from steward.installation.settings import Settings
from steward.plugins.registry import Registry
from steward.plugins.run_result import HandlerFailure, HandlerRequest, RunResult
from steward.sandbox import (
    LOOK,
    SandboxCall,
    SandboxCancelled,
    SandboxDied,
    SandboxLimits,
    SandboxOutOfMemory,
    SandboxPool,
    SandboxRaised,
    SandboxTimedOut,
    pickled,
)
from steward.storage.database.group_commit import GroupCommit
from steward.worker.handlers.batch import HandlerBatch, HandlerWatch, Runs
from steward.worker.handlers.handlers import Handlers

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


class HandlerPool(Handlers):
    """One pool of children. Whoever dies or takes long in it holds nobody up: the rest has a warm one always."""

    def __init__(
        self, settings: Settings, registry: Registry, ledger: GroupCommit, *, suspicion: float = SUSPECTED
    ) -> None:
        """`suspicion` is for how many seconds a handler that died or hung is kept from the others; 0: nobody is."""
        super().__init__(ledger)
        self._registry, self._suspicion = registry, suspicion
        self._proven: set[str] = set()
        self._processes = settings.handler_processes
        longest = max((h.time_limit for h in registry.handlers.values()), default=60.0)
        limits = SandboxLimits(seconds=longest + 5, cpu_seconds=longest + 60, memory_mb=MEMORY_MB, network=True)
        self._pool = SandboxPool(
            "steward.worker.handlers.process:host",
            argument=settings.model_dump() | {"secret_key": settings.key.decode()},
            size=settings.handler_processes,
            spare=SPARE,
            beside=LONE,
            limits=limits,
            name="handlers",
        )
        self._suspected: dict[str, float] = {}
        self._wanted: set[tuple[str, str]] = set()
        self._dropped: set[tuple[str, str]] = set()
        self._arriving: dict[tuple[asyncio.AbstractEventLoop, str], Runs] = {}
        # A thread waits for each batch at work, and there are as many as the dispatcher has in hand.
        self._threads = ThreadPoolExecutor(1000, thread_name_prefix="handlers")

    async def run(self, request: HandlerRequest) -> RunResult:
        """Run a handler. Those of one claim that come at the same moment are one batch, in one child."""
        loop = asyncio.get_running_loop()
        batch = self._arriving.get((loop, request.claim))
        if batch is None:
            batch = self._arriving[loop, request.claim] = {}
            loop.call_soon(self._start, loop, request.claim)
        future: asyncio.Future[RunResult] = loop.create_future()
        batch[request.task_id] = request, future
        key = request.task_id, request.claim
        self._wanted.add(key)
        try:
            return await future
        finally:
            self._wanted.discard(key)
            self._dropped.discard(key)

    def drop(self, claims: Collection[tuple[str, str]]) -> None:
        """Stop the handlers of tasks that were cancelled or given to another worker."""
        self._dropped.update(self._wanted.intersection(claims))

    def warm(self, *, spare: bool = True) -> None:
        """Start the children ahead of the first batch; those kept `spare` too, if they are not to come later."""
        self._pool.warm(None if spare else self._processes)

    def await_warm(self) -> None:
        """Return when the children are ready, or cannot be: then each task will say why."""
        self._pool.await_warm()

    def close(self) -> None:
        """Stop the children."""
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, loop: asyncio.AbstractEventLoop, claim: str) -> None:
        runs = self._arriving.pop((loop, claim))
        self._threads.submit(self._serve, HandlerBatch(runs, loop), [request for request, _ in runs.values()])

    def _serve(self, batch: HandlerBatch, requests: Sequence[HandlerRequest]) -> None:
        together: dict[str, list[HandlerRequest]] = {}
        for request in requests:
            together.setdefault(request.name if self._is_suspected(request.name) else "", []).append(request)
        unsuspected = together.pop("", [])
        try:
            for group in together.values():
                batch.beside(self._together, group, batch)
            self._together(unsuspected, batch)
            batch.finish()
        except Exception:
            log.exception("handlers could not be run")
        self._say_nothing_came(requests, batch)

    def _together(self, requests: Sequence[HandlerRequest], batch: HandlerBatch) -> None:
        """Run `requests` in one child, one after the other; from who dies or takes long the others part."""
        left = list(requests)
        while len(left) > 1:
            culprit = self._several(left, batch)
            left = batch.open(left) if culprit is not None else []
            if culprit in left:
                left.remove(culprit)
                batch.beside(self._alone, culprit, batch)
                # Those of its kind may do the same: they need not take the others with them.
                its_kind = [request for request in left if request.name == culprit.name]
                if its_kind and len(its_kind) < len(left):
                    left = [request for request in left if request.name != culprit.name]
                    batch.beside(self._together, its_kind, batch)
        for request in left:
            self._alone(request, batch)

    def _several(self, requests: Sequence[HandlerRequest], batch: HandlerBatch) -> HandlerRequest | None:
        """Return at whose handler the call was broken off, or None if nobody is left to be served here."""
        watch = self._watch(requests)
        try:
            with self._pool.lend(aside=self._is_aside(requests[0]), single=False) as call:
                self._follow(call, requests, batch, watch)
        except (SandboxDied, SandboxTimedOut, SandboxOutOfMemory, SandboxCancelled, SandboxRaised) as error:
            if watch.left_alone is not None:
                self._tell(batch, [self._failed(watch.left_alone, error, watch)])
                return None
            culprit = requests[max(error.place, 0)]  # before the first if the child could not even begin
            log.warning("a batch of %d handlers was broken off at %s: %s", len(requests), culprit.name, error)
            self._suspect(culprit.name)
            return culprit
        self._say_nothing_came(requests if watch.left_alone is None else [watch.left_alone], batch)
        return None

    def _alone(self, request: HandlerRequest, batch: HandlerBatch) -> None:
        watch = self._watch([request])
        try:
            with self._pool.lend(lambda: self._is_dropped(request), aside=self._is_aside(request)) as call:
                self.begins(request)
                self._follow(call, [request], batch, watch, self._limit(request.name))
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
            self._tell(batch, [self._failed(request, error, watch)])
        self._say_nothing_came([request], batch)

    def _follow(
        self,
        call: SandboxCall,
        requests: Sequence[HandlerRequest],
        batch: HandlerBatch,
        watch: HandlerWatch,
        seconds: float | None = None,
    ) -> None:
        """Let a child serve `requests`, tell what it says, and look at what it is at.

        Raises:
            SandboxCancelled: it was given up. What else `SandboxCall.talk` raises.
        """
        by_id = {request.task_id: request for request in requests}
        for news in call.talk(pickled(list(requests)), seconds):
            if news is not LOOK:
                kind, *said = news
                if kind == "ready":
                    self._tell(batch, said[0])
                elif kind == "progress":
                    self.progresses(by_id[said[0]], *said[1:])
                continue
            at = watch.at(call, requests)
            if at is None:
                if len(requests) == 1 and self._is_dropped(requests[0]):
                    call.give_up()
                continue
            if watch.took > STALL:
                self._suspect(at.name)
            if watch.goes_past(call, at) and (rest := requests[requests.index(at) + 1 :]):
                log.warning("%s takes long; %d handlers go on without it", at.name, len(rest))
                batch.beside(self._together, rest, batch)
            if watch.left_alone is None:
                if watch.took > STALL and len(requests) > 1:
                    call.give_up()
            else:
                watch.timed_out = watch.took > self._limit(at.name)
            if watch.timed_out or ((len(requests) == 1 or watch.left_alone) and self._is_dropped(at)):
                call.give_up()

    def _watch(self, requests: Sequence[HandlerRequest]) -> HandlerWatch:
        # Who did so before will do so again: another process is made ready at once.
        return HandlerWatch(0.0 if self._misbehaved(requests[0].name) else PATIENCE)

    def _say_nothing_came(self, requests: Sequence[HandlerRequest], batch: HandlerBatch) -> None:
        nothing = HandlerFailure("The handler gave no answer.", crashed=1)
        self._tell(batch, [(request.task_id, nothing) for request in batch.open(requests)])

    def _tell(self, batch: HandlerBatch, outcomes: Sequence[tuple[str, RunResult]]) -> None:
        """Judge each handler by its outcome, and only then tell who waits: the next task may come at once."""
        taken = batch.take(outcomes)
        for request, _, outcome in taken:
            self.ended(request)
            if isinstance(outcome, HandlerFailure) and outcome.crashed:
                self._suspect(request.name)
            else:
                self._proven.add(request.name)
        batch.answer(taken)

    def _failed(self, request: HandlerRequest, error: Exception, watch: HandlerWatch) -> tuple[str, RunResult]:
        return request.task_id, self._failure(request, error, timed_out=watch.timed_out)

    def _failure(self, request: HandlerRequest, error: Exception, *, timed_out: bool) -> HandlerFailure:
        if timed_out or isinstance(error, SandboxTimedOut):
            return HandlerFailure(
                f"The handler was stopped at its limit of {self._limit(request.name):g} seconds.", crashed=1
            )
        if isinstance(error, SandboxOutOfMemory):
            return HandlerFailure(f"The handler needed more memory than its {MEMORY_MB} MB.", crashed=1)
        if isinstance(error, SandboxDied):
            return HandlerFailure(f"The handler ended its process ({error}).", crashed=1)
        if isinstance(error, SandboxCancelled):
            return HandlerFailure("Cancelled.", final=True)
        return HandlerFailure(str(error))

    def _limit(self, name: str) -> float:
        return self._registry.handlers[name].time_limit

    def _is_aside(self, request: HandlerRequest) -> bool:
        """Whether a request leaves the warm children to others: it takes long by its nature, or did so just now.

        Who is only unproven does not: the first urgent letter of a worker must not wait for a process to start.
        """
        quick = self._registry.handlers[request.name].lane in ("urgent", "mail", "bulk")
        return not quick or self._misbehaved(request.name)

    def _suspect(self, name: str) -> None:
        self._suspected[name] = time.monotonic() + self._suspicion

    def _is_suspected(self, name: str) -> bool:
        """Whether a handler died or hung just now, or has not come to an end here yet: trust is earned."""
        unproven = bool(self._suspicion) and name not in self._proven
        return unproven or self._misbehaved(name)

    def _misbehaved(self, name: str) -> bool:
        return self._suspected.get(name, 0.0) > time.monotonic()

    def _is_dropped(self, request: HandlerRequest) -> bool:
        return (request.task_id, request.claim) in self._dropped
