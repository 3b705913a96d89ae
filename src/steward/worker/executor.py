"""Makes attempts: those of one worker, in one event loop, any number at once."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from steward.documents.pdf.renderer import Renderer
from steward.errors import StorageUnavailable
from steward.mail.transport import Transport
from steward.plugins.registry import Registry
from steward.storage.archive import Archive
from steward.storage.database.group_commit import GroupCommit
from steward.storage.encryption import Seal
from steward.system.clock import new_id
from steward.worker.attempt.attempt import TaskAttempt
from steward.worker.attempt.parts import AttemptParts
from steward.worker.handlers.handlers import Handlers

log = logging.getLogger(__name__)


class Executor:
    """Performs batches of ids for one worker. Any number of threads may call it at once."""

    def __init__(
        self,
        worker: str,
        writer: GroupCommit,
        registry: Registry,
        seal: Seal,
        handlers: Handlers,
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
        # Where the transport has an event loop that others may use, nothing crosses threads on its way to the wire.
        loop: asyncio.AbstractEventLoop | None = getattr(transport, "loop", None)
        self._thread = None if loop else threading.Thread(target=self._work, name="attempts", daemon=True)
        self.loop = loop or asyncio.new_event_loop()
        # Layouts wait for child processes; their own threads keep them out of the way of letters.
        self._layouts = ThreadPoolExecutor(threads, thread_name_prefix="layout")
        self._makers = ThreadPoolExecutor(1, thread_name_prefix="making")
        self._parts = AttemptParts(
            worker,
            writer,
            registry,
            handlers,
            transport,
            seal,
            archive,
            renderer,
            spool,
            self._layouts,
            self._makers,
            asyncio.Semaphore(in_flight),
            retry_delays=tuple(retry_delays) if retry_delays else None,
            retries_later=retries_later,
        )
        self.lane = self._parts.lane
        self.idle = threading.Event()
        self.idle.set()
        self._in_hand: dict[tuple[str, str], TaskAttempt] = {}
        self._batches: set[asyncio.Task[None]] = set()
        self._leaving = False
        self._lock = threading.Lock()
        if self._thread is not None:
            self._thread.start()

    def perform(self, ids: Sequence[str]) -> None:
        """Perform those of `ids` that are queued and in nobody else's hand; return when each attempt has ended."""
        self.start(ids).result()

    def start(self, ids: Sequence[str]) -> Future[None]:
        """Begin to perform `ids` and return at once; the future is done when each attempt has ended."""
        claim, done = new_id(), Future[None]()
        making = [TaskAttempt(self._parts, task_id, claim, alone=len(ids) == 1) for task_id in ids]
        with self._lock:
            if self._leaving:
                making = []  # they stay in the ledger, for others
            self._in_hand |= {(each.task_id, claim): each for each in making}
            if making:
                self.idle.clear()
        if making:
            self.loop.call_soon_threadsafe(self._begin, making, done)
        else:
            done.set_result(None)
        return done

    def held(self) -> dict[str, str]:
        """Return the tasks in hand: id to claim."""
        with self._lock:
            return {task_id: claim for (task_id, claim), each in self._in_hand.items() if each.begun is not None}

    def begin_no_more(self) -> None:
        """Start no further attempt: this process is about to leave."""
        with self._lock:
            self._leaving = True

    @property
    def busy(self) -> bool:
        """Whether an attempt is being made, or about to begin."""
        with self._lock:
            return bool(self._in_hand)

    def forgotten(self, running: Mapping[str, str]) -> set[tuple[str, str]]:
        """Return those of `running` (id to claim, as the ledger has them) at which nobody works here any more.

        Their end could not be recorded: the store failed just then. Ask with what was read from the ledger before.
        """
        with self._lock:
            return set(running.items()) - self._in_hand.keys()

    def drop(self, claims: set[tuple[str, str]]) -> None:
        """Stop working for tasks (id and claim) that were cancelled or given to another worker."""
        with self._lock:
            lost = claims & self._in_hand.keys()
            for each in lost:
                self._in_hand[each].lost = True
        self._parts.handlers.drop(lost)

    @property
    def stopped(self) -> bool:
        """Whether letters stand still."""
        return bool(self.lane.stopped)

    def close(self) -> None:
        """Give up what is still in hand, and free the threads. Before the transport, whose event loop this may use."""
        if self.loop.is_running():
            asyncio.run_coroutine_threadsafe(self._give_up(), self.loop).result(timeout=5)
        if self._thread is not None and self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout=2)
        self._layouts.shutdown(wait=False, cancel_futures=True)
        self._makers.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        self.loop.run_forever()

    def _begin(self, making: Sequence[TaskAttempt], done: Future[None]) -> None:
        batch = self.loop.create_task(self._make(making, done))
        self._batches.add(batch)
        batch.add_done_callback(self._batches.discard)

    async def _make(self, making: Sequence[TaskAttempt], done: Future[None]) -> None:
        try:
            if len(making) == 1:
                await self._make_one(making[0])
            else:
                await asyncio.gather(*map(self._make_one, making))
        finally:
            done.set_result(None)

    async def _make_one(self, attempt: TaskAttempt) -> None:
        try:
            await attempt.run()
        except StorageUnavailable as error:
            log.warning("the task %s could not be started: %s", attempt.task_id, error)  # it is handed over again
        except Exception:
            log.exception("the attempt at the task %s was broken off", attempt.task_id)  # and is found again
        finally:
            with self._lock:
                self._in_hand.pop((attempt.task_id, attempt.claim), None)
                if not self._in_hand:
                    self.idle.set()

    async def _give_up(self) -> None:
        for batch in list(self._batches):
            batch.cancel()
        await asyncio.gather(*self._batches, return_exceptions=True)
