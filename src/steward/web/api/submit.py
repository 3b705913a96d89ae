"""Routes that hand tasks over: one per handler and one for its bulk, so that each carries its payload's schema."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import BackgroundTasks, FastAPI
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from steward.errors import InvalidOption
from steward.model.results import TaskResult
from steward.model.service import Options
from steward.web.access.keys import ASKERS, Doorkeeper, require
from steward.web.api import openapi, query
from steward.web.api.body import Array, read_array, read_json
from steward.web.threads import run_writing
from steward.worker.engines.background import during

if TYPE_CHECKING:
    from steward.installation.container import Steward

MOST_AT_ONCE = 10_000
BULKS = 2
"""Bulks of one key in hand at once; further ones wait before they are read. A body may take 64 MB of memory."""
JSON = "application/json"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def add_routes(app: FastAPI, steward: Steward, keeper: Doorkeeper) -> None:
    """Add `POST /v1/tasks/{name}` and `/bulk` for every handler, and for names that nobody has registered."""
    rooms: dict[str, asyncio.Semaphore] = {}
    for handler in steward.registry.handlers.values():
        app.add_api_route(
            f"/v1/tasks/{handler.name}",
            _one(steward, keeper, handler.name),
            methods=["POST"],
            status_code=202,
            response_class=Response,
            name=handler.name,
            operation_id=handler.name,
            tags=["hand over"],
            summary=handler.summary or handler.title,
            description=handler.description,
            openapi_extra=openapi.submission(handler),
        )
        app.add_api_route(
            f"/v1/tasks/{handler.name}/bulk",
            _many(steward, keeper, handler.name, rooms),
            methods=["POST"],
            status_code=202,
            response_class=Response,
            name=f"{handler.name}_bulk",
            operation_id=f"{handler.name}_bulk",
            tags=["hand over many"],
            summary=f"{handler.summary or handler.title} (many at once)",
            openapi_extra=openapi.bulk(handler, MOST_AT_ONCE),
        )
    for path in ("/v1/tasks/{name}", "/v1/tasks/{name}/bulk"):
        app.router.add_api_route(
            path,
            _unknown(steward, keeper),
            methods=["POST"],
            openapi_extra={"parameters": openapi.OPTIONS},
            include_in_schema=False,
            route_class_override=_ForNames,
        )


class _ForNames(APIRoute):
    """A route for what could be a handler's name; a task's id, which shares its address, never is one."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return how it matches."""
        found, child = super().matches(scope)
        if found is not Match.NONE and _ID.fullmatch(child["path_params"]["name"]):
            return Match.NONE, {}
        return found, child


async def hand_over(steward: Steward, name: str, payload: Any, options: Options) -> tuple[TaskResult, BackgroundTasks]:
    """Accept one task and return it, with what is to run after the response (for the engine that needs it).

    Raises:
        StewardError: as `TaskService.submit`.
    """
    service = steward.service

    def accept() -> TaskResult:
        accepted = service.submit(name, payload, options)
        return accepted.result or service.get_status(accepted.id)

    later = BackgroundTasks()
    with during(later):
        return await run_writing(accept), later


def _one(steward: Steward, keeper: Doorkeeper, name: str) -> Callable[..., Any]:
    handler = steward.registry.get(name)

    async def submit(request: Request) -> Response:
        caller = await keeper.admit(request)
        caller.require_ask(handler.name, handler.scope)  # before a body of 64 MB is read
        options = query.options(request, caller)
        payload = await read_json(request)
        task, later = await hand_over(steward, name, payload, options)
        headers = {"Location": f"/v1/tasks/{task.id}"}
        return Response(to_json(task.as_json()), 202, headers, JSON, later)

    return submit


def _many(steward: Steward, keeper: Doorkeeper, name: str, rooms: dict[str, asyncio.Semaphore]) -> Callable[..., Any]:
    handler = steward.registry.get(name)

    async def submit_many(request: Request) -> Response:
        caller = await keeper.admit(request)
        caller.require_ask(handler.name, handler.scope)  # before a body of 64 MB is read
        options = query.options(request, caller)
        later = BackgroundTasks()
        async with rooms.setdefault(caller.id, asyncio.Semaphore(BULKS)):
            payloads = await read_array(request)
            with during(later):
                async with payloads.watched(request):
                    ids = await run_writing(
                        partial(steward.service.enqueue_many, name, _at_most(payloads, MOST_AT_ONCE), options=options)
                    )
        return Response(to_json({"ids": ids, "count": len(ids)}), 202, None, JSON, later)

    return submit_many


def _at_most(payloads: Array, most: int) -> Iterator[Any]:
    for count, payload in enumerate(payloads, 1):
        if count > most:
            raise InvalidOption(f"More than {most:,} payloads are too many at once", remedy="Send less at once")
        yield payload


def _unknown(steward: Steward, keeper: Doorkeeper) -> Callable[..., Any]:
    async def refuse(request: Request) -> Response:
        require(await keeper.admit(request), *ASKERS)
        steward.registry.get(request.path_params["name"])
        raise AssertionError("a registered handler has a route of its own")

    return refuse
