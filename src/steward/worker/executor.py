"""Performs tasks: begins attempts, has them prepared, lays out reports, sends letters, stores fact after fact."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

from steward.documents.pdf.renderer import Renderer
from steward.errors import StewardError, StorageUnavailable
from steward.mail.circuit_breaker import MailLane
from steward.mail.delivery import Dispatch
from steward.mail.transport import Transport
from steward.model.states import Task
from steward.plugins.registry import Registry
from steward.plugins.run_result import Failure, Outcome, Prepared, Request
from steward.storage import working_folders
from steward.storage.archive import Archive
from steward.storage.database.group_commit import GroupWriter
from steward.storage.encryption import Seal
from steward.storage.tasks import artifacts, attempts, deliveries
from steward.system.clock import SECOND, new_id, now
from steward.tasks import task_log
from steward.worker import outcomes
from steward.worker.attempt import Parts, Performance

log = logging.getLogger(__name__)


class Preparing(Protocol):
    """Prepares requests, here or in child processes, and reports each as soon as it is ready."""

    def prepare_each(
        self,
        requests: Sequence[Request],
        ready: Callable[[str, Outcome], None],
        progress: Callable[[str, float, str], None],
        cancelled: Callable[[str], bool],
        begins: Callable[[str], None],
    ) -> None:
        """Call `ready` once for each request, from any thread, and return when all have been reported.

        `begins` is called before the handler of a request that is alone, at least, can do anything.
        """


class Executor:
    """Performs batches of ids for one worker. Any number of threads may call `perform` at once."""

    def __init__(
        self,
        worker: str,
        writer: GroupWriter,
        registry: Registry,
        seal: Seal,
        preparing: Preparing,
        transport: Transport,
        archive: Archive,
        renderer: Renderer,
        spool: Path,
        *,
        in_flight: int = 16,
        retry_delays: Sequence[float] | None = None,
        retries_later: bool = True,
        threads: int = 8,
    ) -> None:
        self.worker, self._writer, self._registry, self._seal = worker, writer, registry, seal
        self._preparing, self._spool = preparing, spool
        self.lane = MailLane()
        self._parts = Parts(
            writer=writer,
            dispatch=Dispatch(writer, transport, seal, in_flight, self.lane.refused),
            seal=seal,
            archive=archive,
            renderer=renderer,
            lane=self.lane,
            retry_delays=tuple(retry_delays) if retry_delays else None,
            retries_later=retries_later,
        )
        self.idle = threading.Event()
        self.idle.set()
        self._held: dict[str, str] = {}
        self._beginning: set[str] = set()
        self._leaving = False
        self._lost: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        # Layouts wait for child processes; their own threads keep them out of the way of letters.
        self._layouts = ThreadPoolExecutor(threads, thread_name_prefix="layout")

    def perform(self, ids: Sequence[str]) -> None:
        """Perform those of `ids` that are queued and in nobody else's hand; return when each attempt has ended."""
        claim = new_id()
        with self._lock:
            if self._leaving:
                return  # they stay in the ledger, for others
            self._beginning.add(claim)
        begun: list[Task] = []
        try:
            alone = len(ids) == 1
            begun = self._writer.apply(lambda c: attempts.begin(c, ids, self.worker, claim, now(), suspects=alone))
        except StorageUnavailable as error:
            log.warning("%d tasks could not be started: %s", len(ids), error)
        finally:
            with self._lock:
                self._beginning.discard(claim)
                if begun:
                    self._held |= {task.id: claim for task in begun}
                    self.idle.clear()
        if not begun:
            return  # they stay in the ledger, and the relay hands them over again
        try:
            self._perform(begun, claim)
        finally:
            with self._lock:
                for task in begun:
                    self._let_go(task.id, claim)

    def held(self) -> dict[str, str]:
        """Return the tasks in hand: id to claim."""
        with self._lock:
            return dict(self._held)

    def begin_no_more(self) -> None:
        """Start no further attempt: this process is about to leave."""
        with self._lock:
            self._leaving = True

    @property
    def busy(self) -> bool:
        """Whether an attempt is being made, or about to begin."""
        with self._lock:
            return bool(self._held or self._beginning)

    def forgotten(self, running: Mapping[str, str]) -> set[tuple[str, str]]:
        """Return those of `running` (id to claim, as the ledger has them) at which nobody works here any more.

        Their end could not be recorded: the store failed just then. Ask with what was read from the ledger before.
        """
        with self._lock:
            return {(i, c) for i, c in running.items() if c not in self._beginning and self._held.get(i) != c}

    def drop(self, claims: set[tuple[str, str]]) -> None:
        """Stop working for tasks (id and claim) that were cancelled or given to another worker."""
        with self._lock:
            self._lost |= claims & set(self._held.items())

    @property
    def stopped(self) -> bool:
        """Whether letters stand still."""
        return bool(self.lane.stopped)

    def lane_moves(self) -> None:
        """Let letters go out again: the mail server has taken us back."""
        self.lane.moves()

    def close(self) -> None:
        """Free the threads."""
        self._layouts.shutdown(wait=False, cancel_futures=True)
        self._parts.dispatch.close()

    def _perform(self, begun: list[Task], claim: str) -> None:
        moment = now()
        going: list[Performance] = []
        left: set[str] = set()
        ended = threading.Event()

        def over(task: Task) -> None:
            with self._lock:
                self._let_go(task.id, claim)
                left.discard(task.id)
                if not left:
                    ended.set()

        for task in begun:
            handler = self._registry.handlers.get(task.name)
            if handler is None:
                self._end(task, outcomes.blocked(task, claim, moment))
            elif task.expires_at is not None and task.expires_at <= moment:
                self._end(task, outcomes.expired(task, claim, moment))
            else:
                lost = partial(self._is_lost, task.id, claim)
                going.append(Performance(task, claim, handler, self._parts, lost, over))
        if not going:
            return
        left.update(p.task.id for p in going)
        resumed = [p.task.id for p in going if p.task.attempt > 1]
        if resumed:
            with self._writer.ledger.read() as connection:
                copies = deliveries.stored(connection, resumed)
                enclosed = deliveries.enclosed(connection, resumed)
                for performance in going:
                    performance.copies = copies.get(performance.task.id, [])
                    if performance.task.id in resumed:
                        performance.artifacts = artifacts.stored(connection, performance.task.id)
                        performance.enclosed = enclosed.get(performance.task.id, set())
        by_id = {p.task.id: p for p in going}
        requests = []
        for performance in going:
            task = performance.task
            try:
                texts = self._seal.open_texts(task.sealed, task.id)
            except StewardError as error:
                performance.fail(Failure(str(error), final=True))
            else:
                performance.secrets = tuple(texts)
                requests.append(
                    Request(task.id, task.name, task.payload, texts, task.created_at, claim, task.date, task.attempt)
                )
        layouts: list[Future[None]] = []

        def ready(task_id: str, outcome: Outcome) -> None:
            performance = by_id[task_id]
            if isinstance(outcome, Prepared) and outcome.documents:
                layouts.append(self._layouts.submit(performance.go, outcome))
            elif isinstance(outcome, Prepared):
                performance.go(outcome)
            else:
                performance.fail(outcome)

        def begins(task_id: str) -> None:
            task = by_id[task_id].task
            if task.lost:  # from here on it is under suspicion again, if this process should die
                self._writer.apply(lambda c: attempts.say_running(c, task.id, task.attempt))

        self._preparing.prepare_each(
            requests, ready, self._progress(by_id, claim), lambda i: self._is_lost(i, claim), begins
        )
        ended.wait()
        for performance in going:
            if performance.has_files:  # what a cancelled one has left is swept
                working_folders.remove(self._spool, performance.task.id, claim)

    def _progress(self, by_id: dict[str, Performance], claim: str) -> Callable[[str, float, str], None]:
        seen: dict[str, int] = {}

        def say(task_id: str, fraction: float, text: str) -> None:
            moment = now()
            if moment - seen.get(task_id, 0) > SECOND // 4:
                seen[task_id] = moment
                self._writer.submit(lambda c: attempts.say_progress(c, task_id, claim, fraction, text))

        return say

    def _is_lost(self, task_id: str, claim: str) -> bool:
        return (task_id, claim) in self._lost

    def _let_go(self, task_id: str, claim: str) -> None:
        if self._held.get(task_id) == claim:  # it may have been begun anew since
            del self._held[task_id]
        self._lost.discard((task_id, claim))
        if not self._held:
            self.idle.set()

    def _end(self, task: Task, ending: attempts.Ending) -> None:
        try:
            self._writer.apply(lambda c: attempts.end(c, ending))
        except StorageUnavailable as error:
            task_log.unrecorded(task, "the end", error)
        else:
            task_log.ended(task, ending)
