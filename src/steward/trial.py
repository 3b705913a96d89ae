"""An installation to try things in: tasks are performed at once, in this process, and mail goes to its own outbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steward.app import Steward
from steward.clock import new_id
from steward.ledger.writer import GroupWriter
from steward.operations import operations_for
from steward.renderers.weasy import WeasyRenderer
from steward.results import TaskResult
from steward.runner import Runner
from steward.services.immediate import ImmediateTaskService
from steward.settings import Settings
from steward.transports import outbox
from steward.transports.outbox import Captured, OutboxTransport


class Trial:
    """A `Steward` with a `service` whose `enqueue` returns when the task's first attempt is over."""

    def __init__(self, steward: Steward) -> None:
        self.steward = steward
        settings = steward.settings
        self._writer = GroupWriter(steward.ledger)
        self._transport = OutboxTransport(steward.outbox_folder)
        self._renderer = WeasyRenderer(
            steward.templates.assets,
            processes=1,
            seconds=settings.render_seconds,
            memory_mb=settings.render_memory_mb,
        )
        self._runner = Runner(
            f"trial/{new_id()}",
            self._writer,
            steward.registry,
            steward.seal,
            steward.preparer({"operations": operations_for(steward)}),
            self._transport,
            steward.archive,
            self._renderer,
            steward.spool_folder,
        )
        self.service = ImmediateTaskService(
            steward.ledger, steward.registry, steward.seal, source=steward.source, perform=self._runner.perform
        )

    def messages(self) -> list[Captured]:
        """Return every captured message, whole, oldest first."""
        folder = self.steward.outbox_folder
        return [outbox.read(folder, each.name) for each in reversed(outbox.messages(folder, limit=10_000))]

    def files(self, task: TaskResult) -> dict[str, Path]:
        """Return the files of a task: name to path."""
        return {each.name: self.steward.archive.path(each.location) for each in task.artifacts}

    def close(self) -> None:
        """Stop what was started."""
        self._transport.close()
        self._renderer.close()
        self._writer.close()
        self._runner.close()


@contextmanager
def trial(settings: Settings, *, plugins: tuple[object, ...] = ()) -> Iterator[Trial]:
    """Give a trial of `settings` and of further plugin modules, and end it."""
    steward = Steward(settings, extra_plugins=plugins)
    try:
        made = Trial(steward)
        try:
            yield made
        finally:
            made.close()
    finally:
        steward.close()
