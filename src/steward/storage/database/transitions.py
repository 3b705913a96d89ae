"""What a transaction has changed in the states of tasks, kept until it is committed, for whoever watches the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from steward.storage.database.schema.tables import tasks

NOTED: Final = "steward.transitions"
"""Where a connection of a ledger that is watched keeps its transitions, in `Connection.info`."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A task that came into `state`; `was` is the state before, or None if it was accepted.

    One that `joined` a transaction of somebody else's is there when that is committed, and never if it is undone; its
    state is empty: that in which a task is accepted.
    """

    task_id: str
    was: str | None
    state: str
    joined: bool = False


Watcher = Callable[[Sequence[Transition]], None]
"""Is given what a commit has changed, in the thread that committed: it must be quick, and never raise."""


def watched(connection: sa.Connection) -> bool:
    """Return whether anybody wants to know: only then anything is read for it."""
    return NOTED in connection.info


def note(connection: sa.Connection, was: str | None, state: str, ids: Iterable[str]) -> None:
    """Note that the tasks `ids` came from `was` into `state`, if anybody wants to know."""
    noted = connection.info.get(NOTED)
    if noted is not None:
        noted.extend(Transition(task_id, was, state) for task_id in ids)


def states(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> dict[str, str]:
    """Return the states of the tasks `where` the conditions hold, by id; of none if nobody wants to know."""
    if not watched(connection):
        return {}
    return selected(connection, sa.select(tasks.c.id, tasks.c.state).where(*where), {})


def selected(connection: sa.Connection, statement: sa.Executable, values: dict[str, Any]) -> dict[str, str]:
    """Return the states of the tasks that `statement` selects, by id; of none if nobody wants to know."""
    if not watched(connection):
        return {}
    return {row.id: row.state for row in connection.execute(statement, values)}


def note_changes(connection: sa.Connection, before: dict[str, str]) -> None:
    """Note what has become of the tasks whose states were `before`."""
    ids = list(before)
    for first in range(0, len(ids), 500):
        now = states(connection, tasks.c.id.in_(ids[first : first + 500]))
        for task_id, state in now.items():
            if state != before[task_id]:
                note(connection, before[task_id], state, [task_id])


def note_joined(connection: sa.Connection, watchers: Sequence[Watcher], ids: Sequence[str]) -> None:
    """Tell `watchers` of the tasks `ids`, accepted in a transaction of somebody else's, who does not note them."""
    if watchers and not watched(connection):
        for watcher in watchers:
            watcher([Transition(task_id, None, "", joined=True) for task_id in ids])
