"""The promise callers rely on: hand a task over, ask how it is, change your mind. Engines keep it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from steward.model.caller import PROCESS, Caller
from steward.model.declaration.handler import Handler
from steward.model.results import TaskResult

HandlerLike = Handler | Callable[..., Any] | str


@dataclass(frozen=True, slots=True)
class Query:
    """Which tasks to find. `cursor` is the `next_cursor` of the page before; `limit` at most 500.

    `owner_id` finds what belongs to one caller, `only` what has one of these names.
    """

    states: Sequence[str] = ()
    name: str | None = None
    recipient: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    requested_by: str | None = None
    owner_id: str | None = None
    only: Collection[str] | None = None
    text: str | None = None
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """One page of found tasks, newest first; `next_cursor` is None on the last."""

    tasks: tuple[TaskResult, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How an accepted task is to be treated; beside its payload.

    `caller` asks for it, and owns it and the key; `requested_by` is the name to show, if it is not the caller's.
    `span` stands for the times when requests under one key are compared, where they were given as spans from now.
    """

    key: str | None = None
    expires_at: datetime | None = None
    priority: int | None = None
    run_at: datetime | None = None
    requested_by: str = ""
    caller: Caller = PROCESS
    span: str = ""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an engine can do. Asked for what it lacks, `enqueue` refuses at once."""

    survives_restart: bool = True
    schedules: bool = True
    retries_later: bool = True
    priorities: bool = True
    in_transaction: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedTask:
    """The answer to a hand-over: the task's id, and whether the key had already made it."""

    id: str
    created: bool = True
    result: TaskResult | None = field(default=None, compare=False)


class TaskService(ABC):
    """Hand tasks over and see how they fare; the same whatever engine performs them.

    `func` is a registered handler: the decorated function, or its name. The arguments are its payload: one payload
    object, or its fields by keyword. Options: `key` (idempotency), `expires_at` (nothing is sent after it),
    `priority` (-100 to 100, higher first), `requested_by`. Where a payload has a field of the same name, pass
    the payload as one object.

    `connection` hands a task over inside a transaction on the ledger's own database: it is accepted if and when that is
    committed. It is a Connection in a transaction or a Session of SQLAlchemy; for the methods that are awaited, an
    AsyncConnection or AsyncSession. Anything else is refused before anything is written.
    """

    abilities: ClassVar[Abilities] = Abilities()

    @abstractmethod
    def enqueue(self, func: HandlerLike, *args: Any, **kwargs: Any) -> str:
        """Accept a task and return its id. When this returns, the task is on disk and will not be lost.

        Raises:
            NotAHandler: `func` is a lambda, a closure or a function that no plugin registered.
            UnknownHandler: no handler has this name.
            InvalidPayload: the arguments are not a valid payload; each field's problem is named.
            InvalidOption: an option cannot be honoured.
            KeyConflict: the key stands for another payload, or for other options.
            NotPermitted: the caller may not ask for such a task.
            Unsupported: this engine lacks the ability (see `abilities`).
            StorageUnavailable: the store cannot be written; nothing was accepted.
        """

    @abstractmethod
    def schedule(self, func: HandlerLike, run_at: datetime, *args: Any, **kwargs: Any) -> str:
        """Accept a task that starts at `run_at` (an aware datetime) and return its id. Raises as `enqueue`."""

    @abstractmethod
    def get_status(self, task_id: str) -> TaskResult:
        """Return the task as it stands.

        Raises:
            UnknownTask: no task has this id.
        """

    @abstractmethod
    def submit(self, func: HandlerLike, payload: Any, options: Options) -> AcceptedTask:
        """Accept one task, payload and options apart, and say whether it is new. Raises as `enqueue`."""

    @abstractmethod
    def enqueue_many(
        self, func: HandlerLike, payloads: Iterable[Any], *, options: Options | None = None, connection: Any = None
    ) -> list[str]:
        """Accept all payloads in one commit, or none, and return the ids in order. Raises as `enqueue`.

        Under a key a repeat returns the same ids.
        """

    @abstractmethod
    async def aenqueue(self, func: HandlerLike, *args: Any, **kwargs: Any) -> str:
        """Accept a task as `enqueue` does, and never hold up the event loop. Raises as `enqueue`.

        If the await is cancelled, it is not known whether the task was accepted: ask again under the same `key`.
        """

    @abstractmethod
    async def aschedule(self, func: HandlerLike, run_at: datetime, *args: Any, **kwargs: Any) -> str:
        """Accept a task that starts at `run_at`, as `schedule` does; as `aenqueue`."""

    @abstractmethod
    async def aenqueue_many(
        self, func: HandlerLike, payloads: Iterable[Any], *, options: Options | None = None, connection: Any = None
    ) -> list[str]:
        """Accept all payloads, or none, as `enqueue_many` does; as `aenqueue`."""

    async def aget_status(self, task_id: str) -> TaskResult:
        """Return the task as it stands, as `get_status` does, and never hold up the event loop."""
        return await asyncio.to_thread(self.get_status, task_id)

    @abstractmethod
    def cancel(self, task_id: str, *, by: str = "", caller: Caller = PROCESS) -> TaskResult:
        """Stop a task that is not finished and return it; what was sent stays sent.

        Raises:
            UnknownTask: no task has this id, or it is not `caller`'s to see.
            StateConflict: the task is finished.
        """

    @abstractmethod
    def retry(self, task_id: str, *, by: str = "", caller: Caller = PROCESS) -> TaskResult:
        """Try a failed, interrupted, blocked or waiting task now, from its last stored fact, and return it.

        Raises:
            UnknownTask: no task has this id, or it is not `caller`'s to see.
            NotPermitted: `caller` may not ask for such a task any more.
            StateConflict: the task is running, succeeded, cancelled or expired.
        """

    @abstractmethod
    def find(self, query: Query | None = None) -> Page:
        """Return one page of tasks, newest first."""
