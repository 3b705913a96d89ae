"""An installation to try things in: tasks are performed at once, in this process, and mail goes to its own outbox."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steward.installation.container import Steward
from steward.installation.maintenance import operations_for
from steward.installation.settings import Settings
from steward.mail.transports import captured
from steward.mail.transports.captured import CapturedMessage, CaptureTransport
from steward.model.declaration.handler import Handler
from steward.model.payload import write
from steward.model.results import TaskResult
from steward.plugins.registry import Registry
from steward.plugins.run_result import HandlerFailure, HandlerRequest
from steward.storage.archive import pieces
from steward.storage.archives.folder import FolderArchive
from steward.storage.database.group_commit import GroupCommit
from steward.system.clock import new_id, now
from steward.worker.engines.immediate import ImmediateTaskService
from steward.worker.executor import Executor
from steward.worker.handlers.inline import InlineHandlers
from steward.worker.handlers.pool import HandlerPool


class DryRun:
    """A `Steward` with a `service` whose `enqueue` returns when the task's first attempt is over."""

    def __init__(self, steward: Steward, *, hosted: bool = False) -> None:
        """`hosted`: handlers run in child processes, where none can hang or end this one; else here, for a debugger."""
        self.steward = steward
        settings = steward.settings
        self._writer = GroupCommit(steward.ledger)
        self._transport = CaptureTransport(steward.outbox_folder)
        self._renderer = steward.renderer(1)
        self._pool = HandlerPool(settings, steward.registry, self._writer) if hosted else None
        self._here = InlineHandlers(steward.preparer({"operations": operations_for(steward)}), self._writer)
        self._runner = Executor(
            f"trial/{new_id()}",
            self._writer,
            steward.registry,
            steward.seal,
            self._pool or self._here,
            self._transport,
            steward.archive,
            self._renderer,
            steward.spool_folder,
        )
        self.service = ImmediateTaskService(
            steward.ledger,
            steward.registry,
            steward.seal,
            source=steward.source,
            calendar=settings.calendar,
            perform=self._perform,
        )

    def rehearse(self, handler: Handler, seconds: float = 30) -> str:
        """Write the letters and documents of a handler's example, lay out and send nothing; return what went wrong.

        A handler that is hosted is stopped after `seconds`.
        """
        texts: list[str] = []
        payload = write(handler.example, texts)
        request = HandlerRequest(new_id(), handler.name, payload, texts, now())
        if self._pool is None:
            outcome = self._here.preparer.prepare(request)
            return outcome.words if isinstance(outcome, HandlerFailure) else ""
        running = asyncio.run_coroutine_threadsafe(self._pool.run(request), self._runner.loop)
        try:
            outcome = running.result(timeout=seconds)
        except TimeoutError:
            self._pool.drop([(request.task_id, request.claim)])
            return f"Its example takes longer than {seconds:g} seconds."
        return outcome.words if isinstance(outcome, HandlerFailure) else ""

    def messages(self) -> list[CapturedMessage]:
        """Return every captured message, whole, oldest first."""
        self.service.catch_up()
        folder = self.steward.outbox_folder
        return [captured.read(folder, each.name) for each in reversed(captured.messages(folder, limit=10_000))]

    def files(self, task: TaskResult) -> dict[str, Path]:
        """Return the files of a task: name to path."""
        return {each.name: self._place(each.location) for each in task.artifacts}

    def _place(self, location: str) -> Path:
        """Return where a file lies: in the archive's folder, or a copy of what another archive keeps."""
        archive = self.steward.archive
        if isinstance(archive, FolderArchive):
            return archive.path(location)
        place = self.steward.spool_folder / "files" / location.replace("/", "_")[-200:]
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.writelines(pieces(archive, location))
        return place

    def close(self) -> None:
        """Stop what was started."""
        if self._pool is not None:
            self._pool.close()
        self._runner.close()
        self._transport.close()
        self._renderer.close()
        self._writer.close()

    def _perform(self, ids: Sequence[str]) -> None:
        """Perform `ids`, their handlers in the calling thread if none is hosted."""
        self._here.serve(self._runner.start(ids))


def apart(settings: Settings, folder: Path) -> Settings:
    """Return `settings` for a trial in `folder`: the same plugins, templates and source, and nothing else in common."""
    return settings.model_copy(
        update={
            "env": "development",
            "data_dir": folder.absolute(),
            "database_url": "",
            "engine": "durable",
            "mail_url": "",
            "smtp_url": "",
            "archive_url": "",
            "free_space_mb": 0,
            "secret_key": secrets.token_urlsafe(32),
        }
    )


def example_of(handler: Handler) -> dict[str, Any]:
    """Return a handler's example as the mapping of its fields, secrets included."""
    return {name: getattr(handler.example, name) for name in type(handler.example).model_fields}


@contextmanager
def trial(settings: Settings, *, registry: Registry | None = None, hosted: bool = False) -> Iterator[DryRun]:
    """Give a dry run of `settings`, with `registry` or their plugins, and end it; `hosted` as in `DryRun`."""
    steward = Steward(settings)
    if registry is not None:
        steward.registry = registry
    try:
        made = DryRun(steward, hosted=hosted)
        try:
            yield made
        finally:
            made.close()
    finally:
        steward.close()
