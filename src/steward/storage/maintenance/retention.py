"""Keeping the ledger small and clean: secrets erased, old tasks deleted, a person forgotten, invariants checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from steward.errors import StateConflict
from steward.model.states import FINAL, FINISHED, OPEN, State
from steward.storage.database.schema.tables import (
    actions,
    artifacts,
    attempts,
    cursors,
    deliveries,
    enclosures,
    keys,
    metadata,
    schedules,
    tasks,
)
from steward.system.clock import SECOND

SECRET_LIFE = 10 * 60 * SECOND
"""How long a failed task keeps its secrets for a retry by hand (microseconds); promised is at most 15 minutes."""

ERASED = "erased"


def erase_secrets(connection: sa.Connection, now: int) -> int:
    """Erase what was sealed for tasks that ended `SECRET_LIFE` ago; return how many tasks that were."""
    over = sa.and_(tasks.c.state.in_(FINISHED), tasks.c.finished_at < now - SECRET_LIFE)
    connection.execute(
        deliveries.update()
        .where(deliveries.c.wire.is_not(None), deliveries.c.task_id.in_(sa.select(tasks.c.id).where(over)))
        .values(wire=None)
    )
    # Asked for each of the few files, not for each of all tasks.
    unneeded = sa.exists().where(tasks.c.id == enclosures.c.task_id, sa.or_(over, tasks.c.state.in_(FINAL)))
    connection.execute(enclosures.delete().where(unneeded))
    return connection.execute(tasks.update().where(over, tasks.c.sealed.is_not(None)).values(sealed=None)).rowcount


def sealed(connection: sa.Connection) -> Iterator[tuple[str, bytes]]:
    """Yield everything that is sealed, each with the owner that it was sealed for, one at a time."""
    places: list[tuple[sa.Column[Any], str, tuple[sa.Column[Any], ...]]] = [
        (tasks.c.sealed, "{}", (tasks.c.id,)),
        (deliveries.c.wire, "{}", (deliveries.c.task_id,)),
        (enclosures.c.content, "{}", (enclosures.c.task_id,)),
        (cursors.c.sealed, "cursor/{}/{}", (cursors.c.name, cursors.c.scope)),
    ]
    for content, owner, of in places:
        statement = sa.select(content, *of).where(content.is_not(None)).execution_options(yield_per=50)
        for row in connection.execute(statement):
            yield owner.format(*row[1:]), row[0]


def finished_before(connection: sa.Connection, moment: int, most: int = 500) -> list[str]:
    """Return ids of tasks that ended before `moment`, at most `most`."""
    return list(
        connection.scalars(
            sa.select(tasks.c.id)
            .where(tasks.c.state.in_(FINISHED), tasks.c.finished_at < moment)
            .order_by(tasks.c.id)
            .limit(most)
        )
    )


def delete(connection: sa.Connection, ids: Iterable[str]) -> None:
    """Delete tasks and everything that is recorded of them."""
    ids = list(ids)
    for table in (attempts, deliveries, artifacts, actions, keys, enclosures):
        connection.execute(table.delete().where(table.c.task_id.in_(ids)))
    connection.execute(tasks.delete().where(tasks.c.id.in_(ids)))


def tasks_of(connection: sa.Connection, address: str) -> list[str]:
    """Return ids of tasks that concern a person: addressed to them, delivered to them, or with their address within.

    Raises:
        StateConflict: one of them is still open, or a schedule will make more.
    """
    like = "%" + address.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    sent = sa.select(deliveries.c.task_id).where(sa.func.lower(deliveries.c.recipient) == address.lower())
    found = connection.execute(
        sa.select(tasks.c.id, tasks.c.state).where(
            sa.or_(
                sa.func.lower(tasks.c.recipient) == address.lower(),
                tasks.c.id.in_(sent),
                tasks.c.payload.ilike(like, escape="\\"),
            )
        )
    ).all()
    coming = connection.execute(
        sa.select(schedules.c.name, schedules.c.owner).where(
            sa.or_(schedules.c.payload.ilike(like, escape="\\"), sa.func.lower(schedules.c.owner) == address.lower())
        )
    ).all()
    if coming:
        raise StateConflict(
            f"{len(coming)} schedules still concern this person",
            f"The first makes tasks of {coming[0].name}, and was made by {coming[0].owner or 'nobody'}",
            "Delete them, or make them anew without the address; see: steward schedule list",
        )
    open_ = [r.id for r in found if r.state in OPEN]
    if open_:
        raise StateConflict(
            f"{len(open_)} tasks for this person are still open",
            f"The first is {open_[0]}",
            "Wait for them, or cancel them, and erase then",
        )
    return [r.id for r in found]


def forget(connection: sa.Connection, address: str, ids: list[str]) -> list[str]:
    """Remove a person from finished tasks; that there were tasks, when, and how they ended stays.

    Return those of `ids` that were for nobody else: their files are no longer recorded, and are to be deleted.
    """
    others = sa.select(deliveries.c.task_id).where(sa.func.lower(deliveries.c.recipient) != address.lower())
    alone = list(connection.scalars(sa.select(tasks.c.id).where(tasks.c.id.in_(ids), tasks.c.id.not_in(others))))
    connection.execute(artifacts.delete().where(artifacts.c.task_id.in_(alone)))
    connection.execute(
        tasks.update()
        .where(tasks.c.id.in_(ids))
        .values(payload="{}", sealed=None, recipient=ERASED, error=None, note=None, figures=None, progress_text=None)
    )
    connection.execute(
        deliveries.update()
        .where(deliveries.c.task_id.in_(ids), sa.func.lower(deliveries.c.recipient) == address.lower())
        .values(recipient=ERASED, subject="", reply=None, wire=None)
    )
    connection.execute(enclosures.delete().where(enclosures.c.task_id.in_(ids)))
    connection.execute(attempts.update().where(attempts.c.task_id.in_(ids)).values(error=None))
    return alone


PERSONAL: Final = (
    "tasks",
    "attempts",
    "deliveries",
    "enclosures",
    "artifacts",
    "actions",
    "idempotency_keys",
    "lanes",
    "cursors",
    "synced",
    "incidents",
    "schedules",
)
"""Tables in whose rows a person may stand. Those of keys and people are accounts, and ended by hand."""
_ONLY: Final = {"schedules": ("paused_by", "ended")}
"""What of a table is replaced, if not all: what a schedule asks for, and whose it is, is changed by hand."""


def forget_keys_of(connection: sa.Connection, ids: list[str], forms: Sequence[str]) -> int:
    """Delete the idempotency keys of these tasks, and those in which one of `forms` stands; return how many."""
    told = [keys.c.key.ilike(_like(form), escape="\\") for form in forms]
    return connection.execute(keys.delete().where(sa.or_(keys.c.task_id.in_(ids), *told))).rowcount


def replace_in_rows(connection: sa.Connection, forms: Sequence[str]) -> int:
    """Replace each of `forms` wherever it still stands in the text of `PERSONAL`; return in how many rows.

    What makes a row that very row (its key) is left: to change it would be to lose the row.
    """
    said = re.compile("|".join(map(re.escape, forms)), re.IGNORECASE)
    count = 0
    for name in PERSONAL:
        table = metadata.tables[name]
        own = list(table.primary_key.columns)
        columns = [c for c in texts(table) if not c.primary_key and c.name in _ONLY.get(name, (c.name,))]
        if not columns:
            continue
        found = connection.execute(
            sa.select(*own, *columns).where(sa.or_(*(c.ilike(_like(f), escape="\\") for c in columns for f in forms)))
        ).all()
        for row in found:
            new = {c: said.sub(ERASED, value) for c, value in zip(columns, row[len(own) :], strict=True) if value}
            this = [c == value for c, value in zip(own, row[: len(own)], strict=True)]
            connection.execute(table.update().where(*this).values(new))
        count += len(found)
    return count


def tables_holding(connection: sa.Connection, forms: Sequence[str], schemas: Iterable[str] = ()) -> list[str]:
    """Return the names of the tables, the ledger's and those of `schemas`, that hold one of `forms` still."""
    found, names = [], []
    for table in every_table(connection, schemas):
        names.append(table.name)
        told = [c.cast(sa.Text).ilike(_like(form), escape="\\") for c in texts(table) for form in forms]
        if told and connection.scalar(sa.select(sa.literal(1)).select_from(table).where(sa.or_(*told)).limit(1)):
            found.append(table.fullname)
    if connection.dialect.name == "postgresql":
        found += connection.scalars(_NOTED, {"tables": names, "forms": [_like(form) for form in forms]})
    return found


_NOTED: Final = sa.text(
    "SELECT 'pg_statistic, of ' || tablename FROM pg_stats WHERE tablename = ANY(:tables)"
    " AND concat(most_common_vals::text, histogram_bounds::text) ILIKE ANY(:forms) GROUP BY 1 ORDER BY 1"
)


def every_table(connection: sa.Connection, schemas: Iterable[str] = ()) -> list[sa.Table]:
    """Return the ledger's tables and, where there are any beside them in the same PostgreSQL, those of `schemas`."""
    found = list(metadata.sorted_tables)
    if connection.dialect.name == "postgresql":
        others = sa.MetaData()
        for schema in schemas:
            others.reflect(connection, schema=schema)
        found += others.tables.values()
    return found


def texts(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns of `table` that hold text."""
    return [c for c in table.columns if isinstance(c.type, (sa.String, sa.Text, sa.JSON))]


def _like(text: str) -> str:
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


@dataclass(frozen=True, slots=True)
class IntegrityBreach:
    """An invariant that does not hold, and how many rows break it."""

    rule: str
    count: int


def breaches(connection: sa.Connection) -> list[IntegrityBreach]:
    """Return every invariant of the ledger that is broken; none in a sound one."""
    unknown = tasks.c.state.not_in([s.value for s in State])
    held = sa.select(deliveries.c.task_id).where(deliveries.c.outcome.in_(["deferred", "uncertain", "pending"]))
    final = [State.SUCCEEDED, State.CANCELLED, State.EXPIRED]
    rules: list[tuple[str, sa.Select[Any]]] = [
        ("every task has a known state", _count(tasks, unknown)),
        (
            "a running task is in a worker's hand",
            _count(tasks, tasks.c.state == State.RUNNING, tasks.c.claim.is_(None)),
        ),
        ("a finished task says when", _count(tasks, tasks.c.state.in_(FINISHED), tasks.c.finished_at.is_(None))),
        ("an open task has not finished", _count(tasks, tasks.c.state.in_(OPEN), tasks.c.finished_at.is_not(None))),
        (
            "a task that succeeded has no open delivery",
            _count(tasks, tasks.c.state == State.SUCCEEDED, tasks.c.id.in_(held)),
        ),
        ("a finished task keeps no secret", _count(tasks, tasks.c.state.in_(final), tasks.c.sealed.is_not(None))),
        (
            "a message is kept only until its outcome is known",
            _count(deliveries, deliveries.c.outcome.in_(["accepted", "captured"]), deliveries.c.wire.is_not(None)),
        ),
        (
            "every delivery, attempt and file has its task",
            sa.select(
                _orphans(deliveries).scalar_subquery()
                + _orphans(attempts).scalar_subquery()
                + _orphans(artifacts).scalar_subquery()
            ),
        ),
    ]
    found = [IntegrityBreach(rule, int(connection.scalar(count) or 0)) for rule, count in rules]
    if connection.dialect.name == "sqlite":
        answer = connection.scalar(sa.text("PRAGMA integrity_check"))
        if answer != "ok":
            found.append(IntegrityBreach(f"the file is sound ({answer})", 1))
    return [breach for breach in found if breach.count]


def _count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table).where(*conditions)


def _orphans(table: sa.Table) -> sa.Select[Any]:
    return _count(table, table.c.task_id.not_in(sa.select(tasks.c.id)))
