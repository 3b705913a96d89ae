"""Each recipient's copy: "uncertain" before the final dot, the truth after the reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from steward.model.results import Outcome
from steward.storage.database.bulk import find_among, run_each
from steward.storage.database.schema.tables import attempts, deliveries, enclosures
from steward.system.clock import now


@dataclass(slots=True)
class StoredDelivery:
    """One recipient's copy: as it is stored, as it is marked before its dot, and what became of it.

    `wire` is the sealed message to be stored for a repeat; it is gone once the outcome is final. `enclosures` are its
    files that are not stored yet, by their SHA-256, sealed. `reply` is what is recorded of the server's words.
    """

    task_id: str
    claim: str
    n: int
    recipient: str
    message_id: str
    subject: str
    attempt: int
    wire: bytes | None = None
    enclosures: tuple[tuple[str, bytes], ...] = ()
    outcome: Outcome = Outcome.DEFERRED
    code: int | None = None
    reply: str = ""
    marked: bool = False
    possible_duplicate: bool = False
    uncertain: int = 0
    """How many times it was sent and nobody knows whether it arrived."""


def stored(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[StoredDelivery]]:
    """Return the copies already recorded for `ids`, by task."""
    found: dict[str, list[StoredDelivery]] = {}
    rows = connection.execute(sa.select(deliveries).where(deliveries.c.task_id.in_(ids)).order_by(deliveries.c.n))
    for r in rows:
        found.setdefault(r.task_id, []).append(
            StoredDelivery(
                r.task_id,
                "",
                r.n,
                r.recipient,
                r.message_id,
                r.subject,
                r.attempt,
                r.wire,
                outcome=Outcome(r.outcome),
                possible_duplicate=r.possible_duplicate,
                uncertain=r.uncertain + (r.outcome == Outcome.UNCERTAIN),
            )
        )
    return found


_RUNNING = "SELECT id, claim FROM tasks WHERE id IN (??) AND state = 'running'"
_MARK = (
    "INSERT INTO deliveries"
    " (task_id, n, recipient, outcome, message_id, subject, possible_duplicate, attempt, at, wire)"
    " VALUES (?, ?, ?, 'uncertain', ?, ?, false, ?, ?, ?)"
    " ON CONFLICT (task_id, n) DO UPDATE SET"
    " possible_duplicate = CASE WHEN deliveries.outcome = 'uncertain' THEN true ELSE deliveries.possible_duplicate END,"
    " uncertain = deliveries.uncertain + CASE WHEN deliveries.outcome = 'uncertain' THEN 1 ELSE 0 END,"
    " outcome = 'uncertain', attempt = excluded.attempt, at = excluded.at,"
    " wire = coalesce(deliveries.wire, excluded.wire)"
)
_ENCLOSE = "INSERT INTO enclosures (task_id, sha256, content) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"


def mark_each(connection: sa.Connection, copies: Sequence[StoredDelivery]) -> list[bool]:
    """Record that each of `copies` may be delivered from now on; return whether its attempt is the task's own still."""
    held, at = _held(connection, copies), now()
    marked = [
        (c.task_id, c.n, c.recipient, c.message_id, c.subject[:400], c.attempt, at, c.wire)
        for c in copies
        if (c.task_id, c.claim) in held
    ]
    run_each(connection, _MARK, marked)
    files = [
        (c.task_id, *each) for c in copies if c.enclosures and (c.task_id, c.claim) in held for each in c.enclosures
    ]
    run_each(connection, _ENCLOSE, files)
    return [(copy.task_id, copy.claim) in held for copy in copies]


def _held(connection: sa.Connection, copies: Sequence[StoredDelivery]) -> set[tuple[Any, ...]]:
    """Return the tasks of `copies`, with their claims, as far as they still run."""
    return set(find_among(connection, _RUNNING, {copy.task_id for copy in copies}))


def say_sending(connection: sa.Connection, task_id: str, attempt: int) -> None:
    """Record that the handler has ended well and its letters are about to go: it is no poison pill."""
    connection.execute(
        attempts.update()
        .where(attempts.c.task_id == task_id, attempts.c.number == attempt, attempts.c.finished_at.is_(None))
        .values(outcome="sending")
    )


_RECORD = "UPDATE deliveries SET outcome = ?, code = ?, reply = ?, at = ? WHERE task_id = ? AND n = ? AND attempt = ?"
_RECORD_FINAL = _RECORD.replace(" WHERE", ", wire = NULL WHERE")


def record_each(connection: sa.Connection, copies: Sequence[StoredDelivery]) -> None:
    """Record what became of each of `copies`, whether it was marked in its attempt or never reached the final dot."""
    at = now()
    for statement, final in ((_RECORD_FINAL, True), (_RECORD, False)):
        rows = [
            (c.outcome.value, c.code, c.reply[:1000], at, c.task_id, c.n, c.attempt)
            for c in copies
            if c.marked and c.outcome.final is final
        ]
        run_each(connection, statement, rows)
    for copy in copies:
        if not copy.marked and copy.outcome is not Outcome.UNCERTAIN:
            _record_unsent(connection, copy, at)


def _record_unsent(connection: sa.Connection, copy: StoredDelivery, at: int) -> None:
    """Record a copy that never reached the final dot."""
    if (copy.task_id, copy.claim) not in _held(connection, [copy]):
        return
    values = {
        "recipient": copy.recipient,
        "outcome": copy.outcome.value,
        "message_id": copy.message_id,
        "subject": copy.subject[:400],
        "code": copy.code,
        "reply": copy.reply[:1000],
        "attempt": copy.attempt,
        "at": at,
    }
    changed = connection.execute(
        deliveries.update()
        .where(deliveries.c.task_id == copy.task_id, deliveries.c.n == copy.n)
        .values(
            {
                **values,
                # What was uncertain before may have arrived then: the next copy that goes out may be a second one.
                "possible_duplicate": sa.or_(deliveries.c.possible_duplicate, deliveries.c.outcome == "uncertain"),
                "uncertain": once_more(),
                **({"wire": None} if copy.outcome.final else {}),
            }
        )
    ).rowcount
    if not changed:
        connection.execute(
            deliveries.insert().values(
                task_id=copy.task_id,
                n=copy.n,
                possible_duplicate=False,
                wire=None if copy.outcome.final else copy.wire,
                **values,
            )
        )
        if not copy.outcome.final:
            run_each(connection, _ENCLOSE, [(copy.task_id, *each) for each in copy.enclosures])


def once_more() -> sa.ColumnElement[int]:
    """Return the number of uncertain ends, for a change that takes a copy out of that outcome."""
    return deliveries.c.uncertain + sa.case((deliveries.c.outcome == "uncertain", 1), else_=0)


def enclosure(connection: sa.Connection, task_id: str, sha256: str) -> bytes | None:
    """Return the sealed content of a file that goes with letters of a task, or None if it is not kept any more."""
    found: bytes | None = connection.scalar(
        sa.select(enclosures.c.content).where(enclosures.c.task_id == task_id, enclosures.c.sha256 == sha256)
    )
    return found


def enclosed(connection: sa.Connection, ids: Sequence[str]) -> dict[str, set[str]]:
    """Return the SHA-256 of the files that are kept for letters, by task."""
    found: dict[str, set[str]] = {}
    for r in connection.execute(
        sa.select(enclosures.c.task_id, enclosures.c.sha256).where(enclosures.c.task_id.in_(ids))
    ):
        found.setdefault(r.task_id, set()).add(r.sha256)
    return found
