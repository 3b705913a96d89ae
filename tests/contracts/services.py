"""How each implementation of `TaskService` is built for its contract. To add one, add one entry to `ENGINES`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from fastapi import BackgroundTasks
from tests.journeys.installation import PLUGINS, Installation

from steward.installation.container import Steward
from steward.model.results import TaskResult
from steward.tasks.acceptance import LedgerTaskService
from steward.web.router import performing
from steward.worker.engines.background import during
from steward.worker.engines.immediate import ImmediateTaskService
from steward.worker.worker import Worker

Servers = Callable[[str], Any]
"""Gives a running server by the name of its fixture in tests/conftest.py (`rabbitmq`, `redis_server`, `postgres`)."""


_NUMBER = re.compile(r"^[0-9a-f-]{36}\.\d+-|(?<=\.org)\.\d+$")
"""The task's id and the letter's number before the recipient, and the number of a repeat behind."""


class Subject:
    """One implementation with whoever performs its tasks; the base is for engines with worker processes."""

    plugins: ClassVar[Path] = PLUGINS

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.house = Installation(folder, self.plugins, smtp_url="", **settings)
        self.steward: Steward = self.house.steward
        self.service: LedgerTaskService = self.steward.service

    def begin(self) -> None:
        """Start whoever performs tasks."""
        self.worker = self.house.work()

    def pause(self) -> None:
        """Let nothing be performed until `resume`; what is accepted meanwhile waits."""
        self.worker.terminate()

    def resume(self) -> None:
        """Let what waits be performed."""
        self.worker = self.house.work()

    def restart(self) -> None:
        """Stop whoever performs tasks, and start them again, as after a change of the plugins."""
        self.pause()
        self.resume()

    @contextmanager
    def accepting(self) -> Iterator[LedgerTaskService]:
        """Give the service where it may be called; what was handed over is performed, at the latest, afterwards."""
        yield self.service

    def do(self, call: Callable[[LedgerTaskService], Any]) -> Any:
        """Return what `call` returns, made where the service may be called."""
        with self.accepting() as service:
            return call(service)

    def settled(self, task_id: str, *states: str, seconds: float = 30) -> TaskResult:
        """Return the task once it is in one of `states`, by default once it has ended."""
        self.let_time_pass()
        return self.house.wait_for(task_id, *states, seconds=seconds)

    def let_time_pass(self) -> None:
        """Perform what has become due, where nothing does so by itself."""

    def captured(self) -> list[str]:
        """Return the letters sent so far, in the order in which they went out, each as its recipient's address."""
        found = sorted(self.steward.outbox_folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [_NUMBER.sub("", path.stem) for path in found]

    def close(self) -> None:
        """Stop everything."""
        self.house.close()


class Immediate(Subject):
    """Performs in the call itself."""

    service: ImmediateTaskService

    def begin(self) -> None:
        steward = self.steward
        self.performer = Worker(steward, engine="immediate")
        self.performer.start()
        self.service = ImmediateTaskService(steward.ledger, steward.registry, steward.seal, perform=self._perform)
        self._paused = False

    def _perform(self, ids: Sequence[str]) -> None:
        if not self._paused:
            self.performer.runner.perform(ids)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self.service.run_due()

    def restart(self) -> None:
        self.performer.stop()
        self.begin()
        self.service.run_due()

    def let_time_pass(self) -> None:
        if not self._paused:
            self.service.run_due()

    def close(self) -> None:
        self.performer.stop()
        super().close()


class Background(Subject):
    """Performs after the response to the request in which a task was handed over."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, engine="background", allow_interruptible=True)
        self._waiting: list[BackgroundTasks] = []
        self._paused = False

    def begin(self) -> None:
        self._end = performing(self.steward)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for tasks in waiting:
            asyncio.run(tasks())

    def restart(self) -> None:
        self._end()
        self.begin()

    @contextmanager
    def accepting(self) -> Iterator[LedgerTaskService]:
        later = BackgroundTasks()
        with during(later):
            yield self.service
        if self._paused:
            self._waiting.append(later)
        else:
            asyncio.run(later())

    def close(self) -> None:
        self._end()
        super().close()


def durable(folder: Path, servers: Servers) -> Subject:
    """The default: the worker's own pool, and the ledger in a file."""
    return Subject(folder, engine="durable")


def durable_on_postgresql(folder: Path, servers: Servers) -> Subject:
    """The worker's own pool, and the ledger in PostgreSQL."""
    return Subject(folder, engine="durable", database_url=servers("postgres").create())


def celery_on_rabbitmq(folder: Path, servers: Servers) -> Subject:
    """Celery with quorum queues, the ledger in PostgreSQL: what is recommended for several machines."""
    database, broker = servers("postgres").create(), servers("rabbitmq").url
    return Subject(folder, engine="celery", broker_url=broker, database_url=database)


def celery_on_redis(folder: Path, servers: Servers) -> Subject:
    """Celery with Redis, the ledger in its file."""
    redis = servers("redis_server")
    redis.flushall()
    return Subject(folder, engine="celery", broker_url=redis.url)


ENGINES: dict[str, Callable[[Path, Servers], Subject]] = {
    "immediate": lambda folder, servers: Immediate(folder),
    "background": lambda folder, servers: Background(folder),
    "durable": durable,
    "durable-postgresql": durable_on_postgresql,
    "celery-rabbitmq": celery_on_rabbitmq,
    "celery-redis": celery_on_redis,
}
"""By name: what builds the implementation in a folder, given the servers that it needs."""


@contextmanager
def running(name: str, folder: Path, servers: Servers) -> Iterator[Subject]:
    """Give the implementation `name` with whoever performs its tasks, and stop both."""
    with ExitStack() as stack:
        subject = ENGINES[name](folder, servers)
        stack.callback(subject.close)
        subject.begin()
        yield subject
