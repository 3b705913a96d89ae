"""Routes that hand tasks over: one per handler and one for its bulk, so that each carries its payload's schema."""

# No postponed annotations here: they are evaluated in the module, and would not find what a closure holds.

import asyncio
import re
from collections.abc import Collection, Iterator
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Body, Depends, Query, Response
from pydantic_core import to_json
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Scope

from steward.errors import InvalidOption
from steward.installation.container import Steward
from steward.model.caller import Caller
from steward.model.declaration.handler import Handler
from steward.model.results import TaskResult
from steward.web.access.keys import ASKERS, require
from steward.web.api import query
from steward.web.api.body import BodyArray, read_array, read_json
from steward.web.api.dependencies import AnyCaller, Installation, KeyHeader, RequiresHandler, RouteContext
from steward.web.api.models.problems import problems
from steward.web.api.models.tasks import IdsModel, TaskModel
from steward.web.api.openapi import described, example
from steward.web.api.query import SubmissionQuery
from steward.web.api.route import UNREAD, Route, bound, root
from steward.web.group_commit import run_writing
from steward.worker.engines.background import during

MOST_AT_ONCE: Final = 10_000
BULKS: Final = 2
"""Bulks of one key in hand at once; further ones wait before they are read. A body may take 64 MB of memory."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REFUSED: Final = problems(400, 403, 409, 413, 415, 429, 507)
_ACCEPTED: Final = {"headers": {"Location": {"description": "Where the task is found.", "schema": {"type": "string"}}}}


def add_routes(router: APIRouter, interface: RouteContext, hidden: Collection[str]) -> None:
    """Add `POST /v1/tasks/{name}` and `/bulk` for every handler, and for names that nobody has registered.

    Those of the `hidden` handlers are not described.
    """
    steward = interface.steward
    handlers = [(each, described(each), each.name not in hidden) for each in steward.registry.handlers.values()]
    # Addresses are tried in this order: those of one task, which are the busiest, stand before those of many.
    for handler, model, shown in handlers:
        _add_one(router, steward, handler, model, shown)
    for handler, model, shown in handlers:
        _add_many(router, interface, handler, model, shown)
    for path in ("/v1/tasks/{name}", "/v1/tasks/{name}/bulk"):
        router.add_api_route(
            path,
            _refuse,
            methods=["POST"],
            include_in_schema=False,
            route_class_override=bound(interface, RouteForNames),
        )


def _add_one(router: APIRouter, steward: Steward, handler: Handler, model: Any, shown: bool) -> None:

    @router.post(
        f"/v1/tasks/{handler.name}",
        name=handler.name,
        tags=["hand over"],
        summary=handler.summary or handler.title,
        description=handler.description,
        status_code=202,
        response_model=TaskModel,
        response_description="The task is on disk and will not be lost.",
        responses={202: _ACCEPTED, **_REFUSED},
        openapi_extra=_body(example(handler)),
        include_in_schema=shown,
    )
    async def submit(
        request: Request,
        later: BackgroundTasks,
        caller: Annotated[Caller, Depends(RequiresHandler(handler))],
        wanted: Annotated[SubmissionQuery, Query()],
        key: KeyHeader = None,
        told: Annotated[model, Body()] = UNREAD,
    ) -> Response:
        options = wanted.options(query.only_key(request, key), caller)
        payload = await read_json(request)
        service = steward.service

        def accept() -> TaskResult:
            accepted = service.submit(handler.name, payload, options)
            return accepted.result or service.get_status(accepted.id)

        with during(later):
            task = await run_writing(accept)
        # The busiest route writes its answer itself: the same as the model would be written as, in half the time.
        headers = {"Location": f"{root(request)}/v1/tasks/{task.id}"}
        return Response(to_json(task.as_json()), 202, headers, "application/json")


def _add_many(router: APIRouter, interface: RouteContext, handler: Handler, model: Any, shown: bool) -> None:
    service, rooms = interface.steward.service, interface.rooms

    @router.post(
        f"/v1/tasks/{handler.name}/bulk",
        name=f"{handler.name}_bulk",
        tags=["hand over many"],
        summary=f"{handler.summary or handler.title} (many at once)",
        status_code=202,
        response_description="All are on disk, in one commit; the ids are in the order of the array.",
        responses=_REFUSED,
        openapi_extra=_body([example(handler)]),
        include_in_schema=shown,
    )
    async def submit_many(
        request: Request,
        later: BackgroundTasks,
        caller: Annotated[Caller, Depends(RequiresHandler(handler))],
        wanted: Annotated[SubmissionQuery, Query()],
        key: KeyHeader = None,
        told: Annotated[list[model], Body(max_length=MOST_AT_ONCE)] = UNREAD,
    ) -> IdsModel:
        options = wanted.options(query.only_key(request, key), caller)
        async with rooms.setdefault(caller.id, asyncio.Semaphore(BULKS)):
            payloads = await read_array(request)
            enqueue = partial(service.enqueue_many, handler.name, _at_most(payloads, MOST_AT_ONCE), options=options)
            with during(later):
                async with payloads.watched(request):
                    ids = await run_writing(enqueue)
        return IdsModel.model_construct(ids=ids, count=len(ids))


def _body(shown: Any) -> dict[str, Any]:
    """Return what is said of a body beside its model."""
    return {"requestBody": {"required": True, "content": {"application/json": {"example": shown}}}}


def _at_most(payloads: BodyArray, most: int) -> Iterator[Any]:
    for count, payload in enumerate(payloads, 1):
        if count > most:
            raise InvalidOption(f"More than {most:,} payloads are too many at once", remedy="Send less at once")
        yield payload


class RouteForNames(Route):
    """A route for what could be a handler's name; a task's id, which shares its address, never is one."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return how it matches."""
        found, child = super().matches(scope)
        if found is not Match.NONE and _ID.fullmatch(child["path_params"]["name"]):
            return Match.NONE, {}
        return found, child


async def _nobody(name: str, caller: AnyCaller, steward: Installation) -> None:
    require(caller, *ASKERS)
    steward.registry.get(name)  # a registered handler has a route of its own: this refuses


async def _refuse(
    name: str,
    unknown: Annotated[None, Depends(_nobody)],
    wanted: Annotated[SubmissionQuery, Query()],
    key: KeyHeader = None,
) -> None:
    """Stand where a handler would."""
