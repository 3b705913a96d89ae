"""The promise of running a task's handler, wherever that is, and what is noted of it while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from steward.plugins.run_result import HandlerRequest, RunResult
from steward.storage.database.group_commit import GroupCommit
from steward.storage.tasks import attempts
from steward.system.clock import SECOND, now


class Handlers(ABC):
    """Runs handlers for the attempts of one event loop."""

    def __init__(self, ledger: GroupCommit) -> None:
        self._ledger = ledger
        self._told: dict[str, int] = {}

    @abstractmethod
    async def run(self, request: HandlerRequest) -> RunResult:
        """Return what the handler asks for, or why it cannot be had. Raises nothing.

        Whoever keeps this calls `begins` before a handler that is alone can do anything.
        """

    @abstractmethod
    def drop(self, claims: Collection[tuple[str, str]]) -> None:
        """Stop the handlers of tasks (id and claim) that were cancelled or given to another worker."""

    def begins(self, request: HandlerRequest) -> None:
        """Note on disk that a suspect's handler begins: from here on it is suspected again, if this process dies."""
        if request.suspect:
            self._ledger.apply(lambda c: attempts.say_running(c, request.task_id, request.attempt))

    def progresses(self, request: HandlerRequest, fraction: float, text: str) -> None:
        """Note how far a handler has come, four times a second at most."""
        moment = now()
        if moment - self._told.get(request.task_id, 0) > SECOND // 4:
            self._told[request.task_id] = moment
            self._ledger.submit(lambda c: attempts.say_progress(c, request.task_id, request.claim, fraction, text))

    def ended(self, request: HandlerRequest) -> None:
        """Forget when the progress of a task was noted last."""
        self._told.pop(request.task_id, None)
