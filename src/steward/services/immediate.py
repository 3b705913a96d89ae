"""For tests and previews: a task is performed in the call that hands it over."""

from __future__ import annotations

from typing import Any

from steward.clock import now
from steward.engine import Perform
from steward.ledger import due
from steward.service import Abilities
from steward.services.ledgered import LedgerTaskService


class ImmediateTaskService(LedgerTaskService):
    """When `enqueue` returns, the attempt is over. Scheduled and retrying tasks run at the next `run_due()`."""

    abilities = Abilities(why="Nothing runs by itself; run_due() performs what is due")

    def __init__(self, *args: Any, perform: Perform, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._perform = perform

    def run_due(self, at: int | None = None) -> int:
        """Perform everything that is due at `at` (microseconds; default now) and return how many tasks that was."""
        moment = now() if at is None else at
        self.ledger.apply(lambda c: (due.expire(c, moment), due.wake(c, moment)))
        return self._run_queued()

    def _announce(self, ids: list[str]) -> None:
        self._run_queued()

    def _run_queued(self) -> int:
        ids = [t.id for t in self.find_queued()]
        if ids:
            self._perform(ids)
        return len(ids)

    def find_queued(self) -> list[due.Due]:
        """Return the queued tasks in the order in which they are due."""
        with self.ledger.read() as connection:
            return due.queued(connection)
