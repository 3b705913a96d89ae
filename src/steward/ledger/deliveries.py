"""Each recipient's copy: "uncertain" before the final dot, the truth after the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from steward.ledger.schema import deliveries, tasks
from steward.results import Outcome
from steward.tasks import State


@dataclass(frozen=True, slots=True)
class Copy:
    """A stored copy as a worker that resumes a task sees it. `wire` is sealed, and gone once the outcome is final."""

    n: int
    recipient: str
    outcome: Outcome
    message_id: str
    subject: str
    wire: bytes | None
    possible_duplicate: bool


def stored(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[Copy]]:
    """Return the copies already recorded for `ids`, by task."""
    found: dict[str, list[Copy]] = {}
    rows = connection.execute(sa.select(deliveries).where(deliveries.c.task_id.in_(ids)).order_by(deliveries.c.n))
    for r in rows:
        found.setdefault(r.task_id, []).append(
            Copy(r.n, r.recipient, Outcome(r.outcome), r.message_id, r.subject, r.wire, r.possible_duplicate)
        )
    return found


@dataclass(frozen=True, slots=True)
class OnWire:
    """A copy about to be sent."""

    task_id: str
    claim: str
    n: int
    recipient: str
    message_id: str
    subject: str
    attempt: int
    at: int
    wire: bytes | None


_HOLDS = sa.text("SELECT 1 FROM tasks WHERE id = :id AND claim = :claim AND state = 'running'")
_MARK = sa.text(
    "INSERT INTO deliveries"
    " (task_id, n, recipient, outcome, message_id, subject, possible_duplicate, attempt, at, wire)"
    " VALUES (:task_id, :n, :recipient, 'uncertain', :message_id, :subject, :no, :attempt, :at, :wire)"
    " ON CONFLICT (task_id, n) DO UPDATE SET"
    " possible_duplicate = CASE WHEN deliveries.outcome = 'uncertain' THEN :yes ELSE deliveries.possible_duplicate END,"
    " outcome = 'uncertain', attempt = excluded.attempt, at = excluded.at,"
    " wire = coalesce(deliveries.wire, excluded.wire)"
).bindparams(sa.bindparam("yes", True), sa.bindparam("no", False), sa.bindparam("wire", type_=sa.LargeBinary))


def mark(connection: sa.Connection, copy: OnWire) -> bool:
    """Record that `copy` may be delivered from now on; return False if its attempt is no longer the task's own."""
    if connection.execute(_HOLDS, {"id": copy.task_id, "claim": copy.claim}).scalar() is None:
        return False
    connection.execute(
        _MARK,
        {
            "task_id": copy.task_id,
            "n": copy.n,
            "recipient": copy.recipient,
            "message_id": copy.message_id,
            "subject": copy.subject[:400],
            "attempt": copy.attempt,
            "at": copy.at,
            "wire": copy.wire,
        },
    )
    return True


_RECORD = sa.text(
    "UPDATE deliveries SET outcome = :outcome, code = :code, reply = :reply, at = :at,"
    " wire = CASE WHEN :final THEN NULL ELSE wire END WHERE task_id = :task_id AND n = :n AND attempt = :attempt"
).bindparams(sa.bindparam("final", type_=sa.Boolean))


def record(
    connection: sa.Connection,
    task_id: str,
    n: int,
    attempt: int,
    outcome: Outcome,
    code: int | None,
    reply: str,
    at: int,
) -> None:
    """Record what became of a copy that was marked in this attempt."""
    connection.execute(
        _RECORD,
        {
            "task_id": task_id,
            "n": n,
            "attempt": attempt,
            "outcome": outcome.value,
            "code": code,
            "reply": reply[:1000],
            "at": at,
            "final": outcome.final,
        },
    )


def record_unsent(connection: sa.Connection, copy: OnWire, outcome: Outcome, code: int | None, reply: str) -> None:
    """Record a copy that never reached the final dot: refused, deferred or suppressed."""
    held = connection.execute(_HOLDS, {"id": copy.task_id, "claim": copy.claim}).scalar()
    if held is None:
        return
    values = {
        "recipient": copy.recipient,
        "outcome": outcome.value,
        "message_id": copy.message_id,
        "subject": copy.subject[:400],
        "code": code,
        "reply": reply[:1000],
        "attempt": copy.attempt,
        "at": copy.at,
    }
    changed = connection.execute(
        deliveries.update()
        .where(deliveries.c.task_id == copy.task_id, deliveries.c.n == copy.n)
        .values({**values, **({"wire": None} if outcome.final else {})})
    ).rowcount
    if not changed:
        connection.execute(
            deliveries.insert().values(
                task_id=copy.task_id,
                n=copy.n,
                possible_duplicate=False,
                wire=None if outcome.final else copy.wire,
                **values,
            )
        )


def settle(connection: sa.Connection, task_id: str) -> None:
    """Forget the stored messages of a task that is over."""
    connection.execute(
        deliveries.update()
        .where(
            deliveries.c.task_id == task_id,
            deliveries.c.wire.is_not(None),
            sa.exists().where(
                tasks.c.id == task_id, tasks.c.state.in_([State.SUCCEEDED, State.CANCELLED, State.EXPIRED])
            ),
        )
        .values(wire=None)
    )
