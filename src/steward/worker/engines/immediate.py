"""For tests and previews: a task is performed in the call that hands it over."""

from __future__ import annotations

from typing import Any

from steward.model.results import TaskResult
from steward.model.service import Abilities, Page, Query
from steward.storage.database import Connection
from steward.storage.tasks import acceptance, claim
from steward.system.clock import now
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.engine import Perform


class ImmediateTaskService(LedgerTaskService):
    """When `enqueue` returns, the attempt is over. Scheduled and retrying tasks run at the next `run_due()`.

    A task that joined a transaction (`connection=`) is performed when somebody looks after the commit.
    """

    abilities = Abilities(in_transaction=True, why="Nothing runs by itself; run_due() performs what is due")

    def __init__(self, *args: Any, perform: Perform, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._perform = perform
        self._uncommitted: set[str] = set()

    def get_status(self, task_id: str) -> TaskResult:
        """Return the task as it stands; one that has joined a transaction is performed now if that is committed."""
        self.catch_up()
        return super().get_status(task_id)

    def find(self, query: Query | None = None) -> Page:
        """Return one page of tasks; as `get_status`."""
        self.catch_up()
        return super().find(query)

    def catch_up(self) -> None:
        """Perform what has joined a transaction that is committed by now."""
        if self._uncommitted:
            with self.ledger.read() as connection:
                there = acceptance.known(connection, self._uncommitted)
            if there:
                self._uncommitted -= there
                self._run_queued()

    def run_due(self, at: int | None = None) -> int:
        """Perform everything that is due at `at` (microseconds; default now) and return how many tasks that was."""
        moment = now() if at is None else at
        self.ledger.apply(lambda c: (claim.expire(c, moment), claim.wake(c, moment)))
        return self._run_queued()

    def _joined(self, connection: Connection, ids: list[str]) -> None:
        self._uncommitted.update(ids)

    def _announce(self, ids: list[str]) -> None:
        self._run_queued()

    def _run_queued(self) -> int:
        ids = [t.id for t in self.find_queued()]
        if ids:
            self._perform(ids)
        return len(ids)

    def find_queued(self) -> list[claim.ClaimedTask]:
        """Return the queued tasks in the order in which they are due."""
        with self.ledger.read() as connection:
            return claim.queued(connection)
