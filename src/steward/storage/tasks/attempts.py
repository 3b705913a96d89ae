"""Starting and ending attempts: every step one conditional update, so that a late writer changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from steward.model.results import Artifact
from steward.model.states import State, Task
from steward.storage.database import transitions
from steward.storage.database.bulk import run_each
from steward.storage.database.schema.tables import attempts, tasks
from steward.storage.tasks import artifacts, deliveries
from steward.storage.tasks.deliveries import StoredDelivery
from steward.system.clock import now as read_clock

_BEGIN = (
    tasks.update()
    .where(
        tasks.c.id.in_(sa.bindparam("b_ids", expanding=True)),
        tasks.c.state == State.QUEUED,
        sa.or_(tasks.c.worker.is_(None), tasks.c.worker == sa.bindparam("b_worker")),
    )
    .values(
        state=State.RUNNING,
        attempt=tasks.c.attempt + 1,
        worker=sa.bindparam("b_worker"),
        claim=sa.bindparam("b_claim"),
        started_at=sa.func.coalesce(tasks.c.started_at, sa.bindparam("b_now", type_=sa.BigInteger)),
        error=None,
    )
    .returning(
        tasks.c.id,
        tasks.c.name,
        tasks.c.attempt,
        tasks.c.payload,
        tasks.c.sealed,
        tasks.c.lane,
        tasks.c.created_at,
        tasks.c.expires_at,
        tasks.c.failures,
        tasks.c.lost,
        tasks.c.requested_by,
        tasks.c.started_at,
        tasks.c.dated_at,
    )
)

# A message that a broker delivers again may name tasks in whose hand a process has died meanwhile.
_BEGIN_TOGETHER = _BEGIN.where(tasks.c.lost == 0)


def begin(
    connection: sa.Connection, ids: Sequence[str], worker: str, claim: str, now: int, *, suspects: bool = True
) -> list[Task]:
    """Start an attempt for each of `ids` that is queued and in nobody else's hand; return those that were started.

    `claim` fences the attempt: every later write names it, and is refused once the task has another. Without
    `suspects` those in whose hand a process has died are left: they are handed over again, each alone.
    """
    found = connection.execute(
        _BEGIN if suspects else _BEGIN_TOGETHER, {"b_ids": ids, "b_worker": worker, "b_claim": claim, "b_now": now}
    ).all()
    if found:
        connection.execute(
            attempts.insert(),
            [
                {
                    "task_id": r.id,
                    "number": r.attempt,
                    "worker": worker,
                    "started_at": now,
                    # One in whose hand a process has died is watched closely: see `orphans`.
                    "outcome": "waiting" if r.lost else "running",
                }
                for r in found
            ],
        )
        transitions.note(connection, State.QUEUED, State.RUNNING, [r.id for r in found])
    by_id = {r.id: r for r in found}
    return [
        Task(
            id=r.id,
            name=r.name,
            state=State.RUNNING,
            attempt=r.attempt,
            payload=r.payload,
            sealed=r.sealed,
            lane=r.lane,
            created_at=r.created_at,
            expires_at=r.expires_at,
            failures=r.failures,
            lost=r.lost,
            requested_by=r.requested_by,
            started_at=r.started_at,
            dated_at=r.dated_at,
        )
        for r in (by_id[i] for i in ids if i in by_id)
    ]


@dataclass(frozen=True, slots=True)
class BegunAttempt:
    """An attempt that has begun, and what earlier ones have left: copies, files, and files kept for their letters."""

    task: Task
    copies: list[StoredDelivery] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    enclosed: set[str] = field(default_factory=set)


def begin_each(connection: sa.Connection, wanted: Sequence[tuple[str, str, str, bool]]) -> list[BegunAttempt | None]:
    """Begin an attempt for each of `wanted` (task, worker, claim, whether it may be a suspect) as `begin` does.

    Gives None for those that are not queued, or in somebody else's hand.
    """
    together: dict[tuple[str, str, bool], list[str]] = {}
    for task_id, *how in wanted:
        together.setdefault(tuple(how), []).append(task_id)  # type: ignore[arg-type]  # of a tuple of three
    begun: dict[tuple[str, str], BegunAttempt] = {}
    for (worker, claim, suspects), ids in together.items():
        for task in begin(connection, ids, worker, claim, read_clock(), suspects=suspects):
            begun[task.id, claim] = BegunAttempt(task)
    again = [each.task.id for each in begun.values() if each.task.attempt > 1]
    if again:
        copies, enclosed = deliveries.stored(connection, again), deliveries.enclosed(connection, again)
        for (task_id, claim), each in begun.items():
            if each.task.attempt > 1:
                files = artifacts.stored(connection, task_id)
                begun[task_id, claim] = BegunAttempt(
                    each.task, copies.get(task_id, []), files, enclosed.get(task_id, set())
                )
    return [begun.get((task_id, claim)) for task_id, _, claim, _ in wanted]


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How an attempt ended: the task's next state, and for `retrying` when it is due again.

    `lost` starts ended their process; `counts` is false where the fault was not the task's own.
    """

    task_id: str
    number: int
    claim: str
    state: State
    at: int
    error: str | None = None
    note: str | None = None
    figures: str | None = None
    due_at: int | None = None
    lost: int = 0
    counts: bool = True
    outcome: str = ""


_END_ATTEMPT = (
    attempts.update()
    .where(attempts.c.task_id == sa.bindparam("b_id"), attempts.c.number == sa.bindparam("b_number"))
    .where(attempts.c.finished_at.is_(None))  # an attempt that was closed as lost stays lost
    .values(finished_at=sa.bindparam("b_at"), outcome=sa.bindparam("b_outcome"), error=sa.bindparam("b_error"))
)


def end(connection: sa.Connection, ending: AttemptEnd) -> bool:
    """Close an attempt and move its task on; return False if the attempt is no longer the task's own."""
    values: dict[str, object] = {
        "state": ending.state,
        "worker": None,
        "claim": None,
        "handed_at": None,
        "error": ending.error,
        "progress_text": None,
    }
    if ending.state == State.RETRYING:
        values |= {"due_at": ending.due_at, "progress": None}
        if ending.counts:
            values |= {"failures": tasks.c.failures + 1}
    elif ending.state == State.BLOCKED:
        values |= {"progress": None}
    else:
        values |= {"finished_at": ending.at}
        if ending.state not in (State.FAILED, State.INTERRUPTED):
            values |= {"sealed": None}
        if ending.state == State.SUCCEEDED:
            values |= {"note": ending.note, "figures": ending.figures, "progress": 1.0}
        if ending.state == State.FAILED:
            values |= {"failures": tasks.c.failures + 1}
    if ending.lost:
        values["lost"] = tasks.c.lost + ending.lost
    done = connection.execute(
        tasks.update()
        .where(tasks.c.id == ending.task_id, tasks.c.claim == ending.claim, tasks.c.state == State.RUNNING)
        .values(values)
    ).rowcount
    connection.execute(
        _END_ATTEMPT,
        {
            "b_id": ending.task_id,
            "b_number": ending.number,
            "b_at": ending.at,
            "b_outcome": (ending.outcome or ending.state.value) if done else "refused",
            "b_error": ending.error if done else "The task had been cancelled or taken over by another worker",
        },
    )
    if done:
        transitions.note(connection, State.RUNNING, ending.state, [ending.task_id])
    return bool(done)


_SUCCEED = (
    "UPDATE tasks SET state = 'succeeded', finished_at = ?, progress = 1.0, note = ?, figures = ?, error = NULL,"
    " sealed = NULL, worker = NULL, claim = NULL, handed_at = NULL, progress_text = NULL"
    " WHERE id = ? AND claim = ? AND state = 'running'"
)
_CLOSE = (
    "UPDATE attempts SET finished_at = ?, outcome = 'succeeded'"
    " WHERE task_id = ? AND number = ? AND finished_at IS NULL"
    " AND EXISTS (SELECT 1 FROM tasks WHERE id = ? AND state = 'succeeded' AND attempt = ?)"
)


def end_each(connection: sa.Connection, endings: Sequence[AttemptEnd]) -> None:
    """Close each attempt as `end` does; successes, which are most, in two statements for all of them."""
    successes = [e for e in endings if e.state == State.SUCCEEDED]
    before = transitions.states(connection, tasks.c.id.in_([e.task_id for e in successes]))
    done = run_each(connection, _SUCCEED, [(e.at, e.note, e.figures, e.task_id, e.claim) for e in successes])
    run_each(connection, _CLOSE, [(e.at, e.task_id, e.number, e.task_id, e.number) for e in successes])
    transitions.note_changes(connection, before)
    for ending in endings:
        if ending.state != State.SUCCEEDED or done < len(successes):
            end(connection, ending)  # a success that was written changes nothing here; a late one is told so


def record_each(
    connection: sa.Connection, facts: Sequence[tuple[StoredDelivery | None, AttemptEnd | None]]
) -> list[None]:
    """Record what became of a copy, how an attempt has ended, or both, for each of `facts`."""
    deliveries.record_each(connection, [copy for copy, _ in facts if copy is not None])
    end_each(connection, [ending for _, ending in facts if ending is not None])
    return [None] * len(facts)


def say_running(connection: sa.Connection, task_id: str, attempt: int) -> None:
    """Record that the handler of a task in whose hand a process has died begins now."""
    connection.execute(
        attempts.update()
        .where(attempts.c.task_id == task_id, attempts.c.number == attempt, attempts.c.outcome == "waiting")
        .values(outcome="running")
    )


def no_longer_held(connection: sa.Connection, claims: dict[str, str]) -> set[tuple[str, str]]:
    """Return those of `claims` (task id to claim) that were cancelled or given to another worker."""
    if not claims:
        return set()
    kept = connection.execute(
        sa.select(tasks.c.id, tasks.c.claim).where(tasks.c.id.in_(claims), tasks.c.state == State.RUNNING)
    )
    return set(claims.items()) - {(r.id, r.claim) for r in kept}


def running(connection: sa.Connection, worker: str) -> dict[str, str]:
    """Return the tasks that run in `worker`'s hand: id to claim."""
    found = sa.select(tasks.c.id, tasks.c.claim).where(tasks.c.worker == worker, tasks.c.state == State.RUNNING)
    return {r.id: r.claim for r in connection.execute(found)}


def running_among(connection: sa.Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return those of `ids` that run, in whoever's hand: id to claim."""
    found: dict[str, str] = {}
    for first in range(0, len(ids), 500):
        some = tasks.c.id.in_(ids[first : first + 500])
        rows = connection.execute(sa.select(tasks.c.id, tasks.c.claim).where(some, tasks.c.state == State.RUNNING))
        found |= {row.id: row.claim for row in rows}
    return found


def say_progress(connection: sa.Connection, task_id: str, claim: str, fraction: float, text: str) -> None:
    """Record how far a running task has come."""
    connection.execute(
        tasks.update()
        .where(tasks.c.id == task_id, tasks.c.claim == claim)
        .values(progress=min(max(fraction, 0.0), 1.0), progress_text=text[:200])
    )
