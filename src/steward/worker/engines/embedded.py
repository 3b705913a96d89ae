"""The default: the ledger row is the acceptance, and worker processes perform tasks on DBOS."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from steward.model.service import Abilities
from steward.storage.database import notifications, postgres
from steward.storage.database.ledger import keep_private
from steward.storage.database.storage_errors import storage_error
from steward.storage.fleet import workers
from steward.system.clock import new_id, now
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.engine import Perform
from steward.tasks.wakeup import NudgeSender

if TYPE_CHECKING:
    from dbos import DBOSConfig

log = logging.getLogger(__name__)

VERSION = "steward-1"
"""Pinned: DBOS strands interrupted work of another "application version", and by default hashes the source for it."""
MAX_RECOVERIES = 3
SCHEMA = "dbos"
"""Where DBOS's tables are, in a PostgreSQL that they share with the ledger."""


class DurableTaskService(LedgerTaskService):
    """Accepts, and wakes the relay of a worker process. Survives restarts, schedules, retries: lacks nothing."""

    abilities = Abilities(in_transaction=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._nudge = NudgeSender(self._ports)
        self._notices = notifications.Notices(self.ledger)

    def _ports(self) -> list[int]:
        with self.ledger.read() as connection:
            return workers.nudge_ports(connection, socket.gethostname(), now())

    def _announce(self, ids: list[str]) -> None:
        self._nudge.send()
        self._notices.send()

    def _joined(self, connection: sa.Connection, ids: list[str]) -> None:
        notifications.join(connection)  # the relays hear of it when the application commits


class DurableEngine:
    """One DBOS executor per slot. Batches are workflows; their arguments are ids in portable JSON."""

    name = "durable"

    def __init__(self, store: sa.Engine, slot: str, perform: Perform) -> None:
        """`store` is DBOS's own system database; `slot` the executor id, held by nobody else."""
        # Only a worker needs DBOS. It is a third of the time that a command, or a handler's process, takes to start.
        from dbos import DBOS
        from dbos._serialization import DBOSPortableJSON  # the only portable serializer it has; not re-exported

        _refuse_pickles()
        self._dbos = DBOS
        self._perform = perform
        self._waiting: dict[str, Callable[[], None]] = {}
        self._lock = threading.Lock()
        config: DBOSConfig = {
            "name": "steward",
            "system_database_url": store.url.render_as_string(hide_password=False),
            "system_database_engine": store,
            "executor_id": slot,
            "application_version": VERSION,
            "dbos_system_schema": SCHEMA,
            "serializer": DBOSPortableJSON,
            "log_level": "ERROR",
            "notification_listener_polling_interval_sec": 2.0,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)
        # DBOS prints for itself, frames and all; through the root logger its words become one line, like everybody's.
        spoken = logging.getLogger("dbos")
        spoken.handlers.clear()
        spoken.propagate = True

        @DBOS.workflow(name="perform_batch", max_recovery_attempts=MAX_RECOVERIES)
        def perform_batch(batch: str, ids: list[str]) -> None:
            self._run(batch, ids)

        self._workflow = perform_batch
        try:
            DBOS.launch()
        except sa.exc.SQLAlchemyError as error:
            raise storage_error(error) from error

    def hand_over(self, ids: Sequence[str], done: Callable[[], None]) -> None:
        """Start a workflow for `ids` in this process; `done` is called at its end."""
        batch = new_id()
        with self._lock:
            self._waiting[batch] = done
        try:
            self._dbos.start_workflow(self._workflow, batch, list(ids))
        except BaseException:
            with self._lock:
                self._waiting.pop(batch, None)
            raise

    def adopt(self, slots: Sequence[str]) -> None:
        """Recover the workflows of dead executors. Private in DBOS 3.4, hence `dbos~=3.4.0` and a contract test."""
        if slots:
            self._dbos._recover_pending_workflows(list(slots))

    def prune(self) -> int:
        """Delete finished workflows: DBOS keeps them for ever."""
        finished = self._dbos.list_workflows(
            status=["SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            limit=1000,
            load_input=False,
            load_output=False,
        )
        ids = [w.workflow_id for w in finished]
        if ids:
            self._dbos.delete_workflows(ids)
        return len(ids)

    def close(self, seconds: float) -> None:
        """Wait up to `seconds` for running workflows and stop DBOS."""
        self._dbos.destroy(workflow_completion_timeout_sec=int(seconds), destroy_registry=True)

    def _run(self, batch: str, ids: list[str]) -> None:
        with self._lock:
            known = batch in self._waiting
        if not known:
            # Recovered after a crash. Its tasks are free in the ledger by now, and the relay hands them over with
            # care: run together again, a poison pill among them would kill its neighbours' process four times over.
            return
        try:
            self._perform(ids)
        finally:
            with self._lock:
                done = self._waiting.pop(batch, None)
            if done is not None:
                done()


def _refuse_pickles() -> None:
    """Let DBOS never unpickle anything in this process.

    Whatever serializer it is given, it believes a row that says of itself to be pickled; and whoever can write to its
    tables could so run code here. A workflow of ours is portable JSON.
    """
    from dbos import _serialization

    def refuse(self: Any, serialized_data: str) -> Any:
        log.error("a pickled value in the engine's store was refused; none of ours is")
        raise ValueError("pickled values are refused")

    setattr(_serialization.DefaultSerializer, "deserialize", refuse)  # noqa: B010  # it is typed as what it is not


def system_store(url: str, data_dir: Path) -> sa.Engine:
    """Return the engine of DBOS's system database: beside the ledger's file, or in the ledger's PostgreSQL.

    WAL, FULL and IMMEDIATE: an empty workflow takes 2 ms so, and 34 ms with the defaults (a measured finding).
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return postgres.engine(parsed)
    engine = sa.create_engine(
        f"sqlite:///{data_dir / 'engine.sqlite3'}", connect_args={"timeout": 30}, pool_size=10, max_overflow=20
    )

    keep_private(engine)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
