"""An installation that performs in the test's own process: the real ledger, runner and SMTP, and no waiting."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steward import hookimpl
from steward.documents.pdf.weasyprint import WeasyRenderer
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.mail.transports.smtp.transport import SmtpTransport
from steward.model.results import TaskResult
from steward.storage.database.group_commit import GroupCommit
from steward.storage.database.schema.tables import deliveries, tasks
from steward.system.clock import now
from steward.worker.engines.immediate import ImmediateTaskService
from steward.worker.executor import Executor
from steward.worker.handlers.inline import InlineHandlers

HOUR = 3600 * 1_000_000


class Performing:
    """Use it with `with`. `service.enqueue` returns when the attempt is over; `later` performs what waits.

    `register` gives handlers of the test's own. `seconds` are the limits for connecting, commands and the final reply.
    """

    def __init__(
        self,
        folder: Path,
        smtp_url: str = "",
        *,
        register: Callable[[], list[Any]] | None = None,
        seconds: tuple[float, float, float] = (5.0, 5.0, 5.0),
        **settings: Any,
    ) -> None:
        plugin = types.ModuleType("of_the_test")
        if register is not None:
            plugin.register_handlers = hookimpl(register)  # type: ignore[attr-defined]
        given = {"data_dir": folder / "data", "smtp_url": smtp_url, "free_space_mb": 0, **settings}
        self.steward = Steward(load(**given), extra_plugins=(plugin,))
        self.writer = GroupCommit(self.steward.ledger)
        connect, command, final = seconds
        self.transport = (
            SmtpTransport(
                smtp_url,
                connections=self.steward.settings.smtp_connections,
                ca_file=self.steward.settings.smtp_ca_file,
                connect_seconds=connect,
                greeting_seconds=connect,
                command_seconds=command,
                final_seconds=final,
            )
            if smtp_url
            else self.steward.transport()
        )
        self._renderer = WeasyRenderer(self.steward.templates.assets, processes=1, seconds=60, memory_mb=512)
        self.handlers = InlineHandlers(self.steward.preparer(), self.writer)
        self.runner = Executor(
            "the test",
            self.writer,
            self.steward.registry,
            self.steward.seal,
            self.handlers,
            self.transport,
            self.steward.archive,
            self._renderer,
            self.steward.spool_folder,
            retry_delays=self.steward.settings.retry_delays,
        )
        self.service = ImmediateTaskService(
            self.steward.ledger,
            self.steward.registry,
            self.steward.seal,
            source=self.steward.source,
            perform=lambda ids: self.handlers.serve(self.runner.start(ids)),
        )

    def send(self, name: str, payload: Any, **options: Any) -> TaskResult:
        """Hand a task over, perform it, and return it."""
        return self.task(self.service.enqueue(name, payload, **options))

    def later(self, microseconds: int = HOUR) -> int:
        """Perform what will be due then and return how many tasks that was."""
        return self.service.run_due(now() + microseconds)

    def task(self, task_id: str) -> TaskResult:
        """Return the task as it stands."""
        return self.service.get_status(task_id)

    def row(self, task_id: str) -> Any:
        """Return the task's row."""
        with self.steward.ledger.read() as connection:
            return connection.execute(tasks.select().where(tasks.c.id == task_id)).one()

    def wires(self, task_id: str) -> list[bytes | None]:
        """Return what is stored of the task's messages."""
        with self.steward.ledger.read() as connection:
            rows = connection.execute(deliveries.select().where(deliveries.c.task_id == task_id))
            return [row.wire for row in rows]

    def sent_to(self, recipient: str) -> list[str]:
        """Return the ids of the tasks of which a copy to `recipient` has been recorded."""
        with self.steward.ledger.read() as connection:
            found = connection.execute(deliveries.select().where(deliveries.c.recipient == recipient))
            return [row.task_id for row in found]

    def close(self) -> None:
        """Stop everything."""
        self._renderer.close()
        self.runner.close()
        self.transport.close()
        self.writer.close()
        self.steward.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
