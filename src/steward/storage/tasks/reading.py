"""Makes results of rows: what cannot be read of one is said in its error, and takes no other and no list with it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from steward.model import figures
from steward.model.results import Artifact, Attempt, Delivery, Outcome, TaskResult
from steward.model.states import FINISHED
from steward.storage.database.schema.tables import artifacts, attempts, deliveries
from steward.system.clock import EARLIEST, moment, storable

T = TypeVar("T")
_BEGINNING = moment(EARLIEST)


def rows(connection: sa.Connection, statement: sa.Select[Any]) -> Sequence[Any]:
    """Return the rows that `statement` finds; text that is no UTF-8 is read with marks in its place.

    Only SQLite keeps such text: PostgreSQL refuses it.
    """
    try:
        return connection.execute(statement).all()
    except sa.exc.OperationalError as error:
        if "decode to UTF-8" not in str(error.orig):
            raise
    with _leniently(connection):
        return connection.execute(statement).all()


@contextlib.contextmanager
def _leniently(connection: sa.Connection) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    before, driver.text_factory = driver.text_factory, lambda content: content.decode(errors="replace")
    try:
        yield
    finally:
        driver.text_factory = before


def results(connection: sa.Connection, tasks_found: Sequence[Any], *, with_attempts: bool = False) -> list[TaskResult]:
    """Return the tasks of these rows with their deliveries and artifacts, and with their attempts if asked for."""
    ids = [r.id for r in tasks_found]
    sent = _by_task(connection, deliveries, ids, deliveries.c.n)
    kept = _by_task(connection, artifacts, ids, artifacts.c.n)
    runs = _by_task(connection, attempts, ids, attempts.c.number) if with_attempts else {}
    return [_Reading().task(r, sent.get(r.id, ()), kept.get(r.id, ()), runs.get(r.id, ())) for r in tasks_found]


class _Reading:
    """Reads one task, field by field, and remembers what could not be read."""

    def __init__(self) -> None:
        self._wrong: list[str] = []

    def task(self, r: Any, sent: Sequence[Any], kept: Sequence[Any], runs: Sequence[Any]) -> TaskResult:
        found = TaskResult(
            id=r.id,
            name=self._as("name", r.name, str, ""),
            state=self._as("state", r.state, str, "unknown"),
            attempt=self._as("attempt", r.attempt, int, 0),
            created_at=self._time("created_at", r.created_at) or _BEGINNING,
            due_at=self._time("due_at", r.due_at) or _BEGINNING,
            started_at=self._time("started_at", r.started_at),
            finished_at=self._time("finished_at", r.finished_at),
            expires_at=self._time("expires_at", r.expires_at),
            progress=None if r.progress is None else self._as("progress", r.progress, (float, int), 0.0),
            progress_text=r.progress_text or "",
            error=r.error,
            note=r.note,
            figures=self._read("figures", lambda: figures.load(r.figures), {}),
            lane=self._as("lane", r.lane, str, ""),
            priority=self._as("priority", r.priority, int, 0),
            requested_by=self._as("requested_by", r.requested_by, str, ""),
            owner_id=self._as("owner_id", r.owner_id, str, ""),
            worker=r.worker,
            payload=self._payload(r.payload),
            deliveries=tuple(self._delivery(d, over=r.state in FINISHED) for d in sent),
            artifacts=tuple(Artifact(a.n, a.name, a.media_type, a.size, a.sha256, a.location) for a in kept),
            attempts=tuple(self._attempt(a) for a in runs),
        )
        if not self._wrong:
            return found
        words = f"This record cannot be read whole: {', '.join(dict.fromkeys(self._wrong))}."
        return _with(found, error=f"{found.error} {words}" if found.error else words)

    def _delivery(self, d: Any, *, over: bool) -> Delivery:
        outcome = self._read(f"outcome of letter {d.n}", lambda: Outcome(d.outcome), Outcome.PENDING)
        return Delivery(
            n=d.n,
            to=d.recipient,
            outcome=outcome.when_over() if over else outcome,
            message_id=d.message_id,
            subject=d.subject,
            code=d.code,
            reply=d.reply or "",
            possible_duplicate=bool(d.possible_duplicate),
            attempt=d.attempt,
            at=self._time(f"time of letter {d.n}", d.at),
        )

    def _attempt(self, a: Any) -> Attempt:
        begun = self._time(f"start of attempt {a.number}", a.started_at) or _BEGINNING
        ended = self._time(f"end of attempt {a.number}", a.finished_at)
        return Attempt(a.number, a.worker, begun, ended, a.outcome, a.error or "")

    def _payload(self, text: Any) -> dict[str, Any]:
        value: Any = self._read("payload", lambda: json.loads(text), None)
        return self._as("payload", value, dict, {})

    def _time(self, name: str, value: Any) -> datetime | None:
        if value is None:
            return None
        if type(value) is not int:
            self._wrong.append(name)
            return None
        self._read(name, lambda: storable(value), 0)
        return moment(value)

    def _as(self, name: str, value: Any, kind: type[T] | tuple[type[T], ...], otherwise: T) -> T:
        if isinstance(value, kind):
            return value
        self._wrong.append(name)
        return otherwise

    def _read(self, name: str, how: Callable[[], T], otherwise: T) -> T:
        try:
            return how()
        except (ValueError, TypeError, RecursionError):
            self._wrong.append(name)
            return otherwise


def _with(task: TaskResult, **values: Any) -> TaskResult:
    return TaskResult(**{name: getattr(task, name) for name in TaskResult.__dataclass_fields__} | values)


def _by_task(connection: sa.Connection, table: sa.Table, ids: list[str], order: sa.Column[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if ids:
        columns = [c for c in table.c if c.name != "wire"]
        for row in rows(connection, sa.select(*columns).where(table.c.task_id.in_(ids)).order_by(order)):
            found.setdefault(row.task_id, []).append(row)
    return found
