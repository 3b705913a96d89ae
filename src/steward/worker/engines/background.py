"""The simple engine: FastAPI's `BackgroundTasks` in the web process, honest about what a stop interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastapi import BackgroundTasks

from steward.errors import Unsupported
from steward.model.caller import PROCESS, Caller
from steward.model.declaration.handler import Handler
from steward.model.results import TaskResult
from steward.model.service import Abilities, Options
from steward.storage.database import Connection
from steward.storage.tasks import acceptance, recovery
from steward.system.clock import now
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.engine import Perform

_request: ContextVar[BackgroundTasks | None] = ContextVar("steward_request", default=None)

LONGEST_TRANSACTION = 60.0
"""Seconds for which a task waits for the transaction that it joined; after them, until a stop interrupts it."""

WHY = "BackgroundTasks live in the web process and end with it"


@contextmanager
def during(tasks: BackgroundTasks) -> Iterator[None]:
    """Let tasks that are handed over inside the block run after this request's response."""
    token = _request.set(tasks)
    try:
        yield
    finally:
        _request.reset(token)


class BackgroundTaskService(LedgerTaskService):
    """Tasks are committed before the 202 and run after the response; what a stop interrupts shows as interrupted."""

    abilities = Abilities(
        survives_restart=False, schedules=False, retries_later=False, priorities=False, in_transaction=True, why=WHY
    )

    def __init__(
        self, *args: Any, perform: Perform | None = None, allow_important: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._perform, self._allow_important = perform, allow_important

    def use(self, perform: Perform) -> None:
        """Say who performs tasks; called once when the web process is ready."""
        self._perform = perform

    def interrupt_left_over(self) -> int:
        """Mark what an earlier process left unfinished as interrupted and return how many; called at the start."""
        return self.ledger.apply(lambda c: recovery.interrupt(c, now()))

    def retry(self, task_id: str, *, by: str = "", caller: Caller = PROCESS) -> TaskResult:
        """Try a task again now, inside a request; see `TaskService.retry`."""
        self._require_request()
        return super().retry(task_id, by=by, caller=caller)

    def _refuse_unable(self, handler: Handler, options: Options) -> None:
        super()._refuse_unable(handler, options)
        if handler.important and not self._allow_important:
            raise Unsupported(
                f"The engine 'background' does not take {handler.name}",
                f"It is marked as important, and a restart would interrupt it: {WHY}",
                "Set STEWARD_ENGINE=durable, or STEWARD_ALLOW_INTERRUPTIBLE=true if losing it is acceptable",
            )
        self._require_request()

    def _require_request(self) -> None:
        if _request.get() is None or self._perform is None:
            raise Unsupported(
                "The engine 'background' takes tasks only inside a request",
                WHY,
                "Send it over HTTP, or set STEWARD_ENGINE=durable",
            )

    def _joined(self, connection: Connection, ids: list[str]) -> None:
        tasks = _request.get()
        if tasks is not None:  # _refuse_unable has seen to it
            tasks.add_task(self._perform_committed, ids)

    def _perform_committed(self, ids: list[str]) -> None:
        """Perform `ids` once their transaction is committed.

        It usually is by now. Where a dependency commits after the response, it does so after this has returned.
        """
        if self._still_open(ids):
            threading.Thread(target=self._follow, args=(ids,), name="uncommitted", daemon=True).start()

    def _follow(self, ids: list[str]) -> None:
        until, paused, pause = time.monotonic() + LONGEST_TRANSACTION, threading.Event(), 0.01
        while time.monotonic() < until and self._still_open(ids):
            paused.wait(pause)
            pause = min(pause * 1.5, 1.0)

    def _still_open(self, ids: list[str]) -> bool:
        """Perform `ids` and return False, or True if they are not in the ledger yet."""
        with self.ledger.read() as connection:
            there = acceptance.known(connection, ids)
        if there and self._perform is not None:
            self._perform(ids)
        return not there

    def _announce(self, ids: list[str]) -> None:
        tasks = _request.get()
        if tasks is None or self._perform is None:
            raise Unsupported("The engine 'background' runs tasks only inside a request", WHY, "Do it over HTTP")
        tasks.add_task(self._perform, ids)
