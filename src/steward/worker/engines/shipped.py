"""The engines that ship, through the same hook as anybody's own; each is loaded when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from steward.model.service import TaskService
from steward.plugins.factories import EngineFactory
from steward.plugins.hooks import hookimpl
from steward.tasks.engine import Engine, Perform
from steward.worker.engines.in_process import InProcessEngine


@hookimpl
def register_engines() -> Mapping[str, EngineFactory]:
    """Return the ledger's own workers, Celery, and FastAPI's background tasks."""
    return {"durable": InProcessEngine(_pool), "celery": CeleryEngineFactory(), "background": BackgroundEngineFactory()}


def _pool(perform: Perform, most: int) -> Engine:
    from steward.worker.engines.embedded.pool import WorkerPool

    return WorkerPool(perform, threads=most)


class CeleryEngineFactory:
    """Celery's workers, to which a relay publishes ids."""

    in_web = False

    def service(self, installation: Any) -> TaskService:
        """Return what accepts tasks; a broker that cannot be meant is refused here, in words."""
        celery: Any = import_module("steward.worker.engines.celery.app")  # an extra that not everybody installs
        celery.application(installation.settings)
        made: TaskService = celery.CeleryTaskService(
            installation.ledger, installation.registry, installation.seal, **installation.accepting
        )
        return made

    def work(self, installation: Any) -> int:
        """Run one Celery worker with a relay beside it."""
        return int(import_module("steward.worker.engines.celery.worker").run(installation))


class BackgroundEngineFactory:
    """FastAPI's `BackgroundTasks`, in the web process."""

    in_web = True

    def service(self, installation: Any) -> TaskService:
        """Return what accepts tasks and performs them after the response."""
        from steward.worker.engines.background import BackgroundTaskService  # it loads FastAPI

        return BackgroundTaskService(
            installation.ledger,
            installation.registry,
            installation.seal,
            allow_important=installation.settings.allow_interruptible,
            **installation.accepting,
        )

    def work(self, installation: Any) -> int:
        """Refuse: whoever accepts performs, and `in_web` keeps every door from asking."""
        raise NotImplementedError("The engine 'background' has no workers")
