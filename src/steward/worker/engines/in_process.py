"""An engine that performs in the workers' own processes: what accepts for it, and a worker around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steward.model.service import TaskService
from steward.tasks.engine import Engine, Perform


class InProcessEngine:
    """Keeps the promise of `EngineFactory` for whoever has an `Engine`: `register_engines` returns one by its name.

    `make(perform, most)` makes the engine in each worker: it calls `perform` with what it is handed, and has at most
    `most` batches in hand.
    """

    in_web = False

    def __init__(self, make: Callable[[Perform, int], Engine]) -> None:
        self._make = make

    def service(self, installation: Any) -> TaskService:
        """Return what accepts tasks and wakes a worker."""
        from steward.tasks.durable import DurableTaskService

        return DurableTaskService(
            installation.ledger, installation.registry, installation.seal, **installation.accepting
        )

    def work(self, installation: Any) -> int:
        """Run one worker, until SIGTERM."""
        from steward.worker.engines.embedded import worker

        return worker.run(installation, self._make)
