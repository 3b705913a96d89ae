"""The methods that are awaited: what takes time is done in a thread, so that the event loop is never held up."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from steward.model.declaration.handler import Handler
from steward.model.service import HandlerLike, Options, TaskService
from steward.plugins.registry import Registry
from steward.storage.database import Connection, Ledger
from steward.storage.database.joining import async_session, home_of
from steward.storage.tasks import acceptance
from steward.tasks import options as options_of
from steward.tasks import task_log

Change = Callable[[Connection], tuple[list[str], bool]]
"""What accepts tasks in a transaction, and returns their ids and whether they are new."""


class AwaitedTaskService(TaskService):
    """Made of the same parts as the methods that are called: `_offer` what is checked, `_write` it."""

    ledger: Ledger
    registry: Registry

    async def aenqueue(self, func: HandlerLike, *args: Any, **kwargs: Any) -> str:
        """Accept a task; see `TaskService.aenqueue`."""
        handler, connection, payload, options = self._call(func, args, kwargs)
        return await self._one(handler, payload, options, connection)

    async def aschedule(self, func: HandlerLike, run_at: datetime, *args: Any, **kwargs: Any) -> str:
        """Accept a task for later; see `TaskService.aschedule`."""
        handler, connection, payload, options = self._call(func, args, kwargs)
        return await self._one(handler, payload, options_of.later(options, run_at), connection)

    async def aenqueue_many(
        self, func: HandlerLike, payloads: Iterable[Any], *, options: Options | None = None, connection: Any = None
    ) -> list[str]:
        """Accept all payloads, or none; see `TaskService.aenqueue_many`."""
        handler, options = self.registry.resolve(func), options or Options()
        return await self._awaited(handler.name, lambda: self._offer_many(handler, payloads, options), connection)

    async def _one(self, handler: Handler, payload: Any, options: Options, connection: Any) -> str:
        return (await self._awaited(handler.name, lambda: self._offer(handler, payload, options)[1], connection))[0]

    async def _awaited(self, name: str, offer: Callable[[], Change], connection: Any) -> list[str]:
        if connection is None:
            ids, created = await asyncio.to_thread(lambda: self._write(offer(), None))
            if created:
                task_log.accepted(name, ids)
            return ids
        session = async_session(connection)
        change, home = await asyncio.to_thread(lambda: (offer(), home_of(self.ledger)))
        ids, created = await session.run_sync(lambda given: self._write(change, given, home))
        if created:
            task_log.accepted(name, ids, joined=True)
        return list(ids)

    @abstractmethod
    def _call(
        self, func: HandlerLike, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Handler, Any, Any, Options]: ...

    @abstractmethod
    def _offer(self, handler: Handler, payload: Any, options: Options) -> tuple[acceptance.NewTask, Change]: ...

    @abstractmethod
    def _offer_many(self, handler: Handler, payloads: Iterable[Any], options: Options) -> Change: ...

    @abstractmethod
    def _write(
        self, change: Change, connection: Any, home: tuple[Any, ...] | None = None
    ) -> tuple[list[str], bool]: ...
