"""A task's states and the lawful ways between them: pure functions, no clock, no store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a task stands."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    INTERRUPTED = "interrupted"


WAITING: Final = frozenset({State.SCHEDULED, State.QUEUED, State.RETRYING})
OPEN: Final = WAITING | {State.RUNNING, State.BLOCKED}
FINAL: Final = frozenset({State.SUCCEEDED, State.CANCELLED, State.EXPIRED})
FINISHED: Final = FINAL | {State.FAILED, State.INTERRUPTED}
RETRYABLE: Final = frozenset({State.FAILED, State.INTERRUPTED, State.BLOCKED, State.RETRYING})

TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.SCHEDULED: frozenset({State.QUEUED, State.CANCELLED, State.EXPIRED, State.BLOCKED}),
    State.QUEUED: frozenset(
        {State.RUNNING, State.CANCELLED, State.EXPIRED, State.BLOCKED, State.INTERRUPTED, State.FAILED}
    ),
    # running → queued is the release of a dead worker's task: its attempt is closed as lost, another one follows.
    State.RUNNING: frozenset(
        {
            State.QUEUED,
            State.SUCCEEDED,
            State.FAILED,
            State.RETRYING,
            State.CANCELLED,
            State.EXPIRED,
            State.BLOCKED,
            State.INTERRUPTED,
        }
    ),
    State.RETRYING: frozenset({State.QUEUED, State.CANCELLED, State.EXPIRED, State.BLOCKED}),
    State.BLOCKED: frozenset({State.QUEUED, State.CANCELLED, State.EXPIRED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.INTERRUPTED: frozenset({State.QUEUED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}


def lawful(before: State, after: State) -> bool:
    """Return whether a task may go from `before` to `after`."""
    return after in TRANSITIONS[before]


def sources_of(after: State) -> frozenset[State]:
    """Return every state from which `after` may be reached; conditional updates name these."""
    return frozenset(state for state, targets in TRANSITIONS.items() if after in targets)


MAX_STARTS: Final = 4


@dataclass(frozen=True, slots=True)
class Task:
    """A task as a worker receives it to perform. Times are microseconds since 1970 in UTC."""

    id: str
    name: str
    state: State
    attempt: int
    payload: str
    sealed: bytes | None
    lane: str
    created_at: int
    expires_at: int | None
    failures: int
    lost: int
    requested_by: str = ""
    started_at: int | None = None
    dated_at: int | None = None

    @property
    def date(self) -> int:
        """The moment that its letters and documents bear: when it was due first."""
        return self.created_at if self.dated_at is None else self.dated_at
