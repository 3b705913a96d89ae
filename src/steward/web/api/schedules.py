"""Routes that make, show and change schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from steward.model.caller import Caller
from steward.model.cron import LONGEST, Missed
from steward.model.periods import Period
from steward.system.clock import moment
from steward.tasks.payloads import as_model
from steward.tasks.schedules.schedules import ScheduleStatus
from steward.web.access.keys import CHANGERS, SEERS, Doorkeeper
from steward.web.api import openapi, query
from steward.web.api.body import read_json

if TYPE_CHECKING:
    from steward.installation.container import Steward


class Order(BaseModel):
    """The body of `POST /v1/schedules`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The handler's name.")
    payload: dict[str, Any] = Field(default_factory=dict, description="What each task is given.")
    cron: str = Field(max_length=LONGEST, description="Minute, hour, day of the month, month, day of the week.")
    zone: str = Field("", description="A time zone such as `Europe/Berlin`; empty means the installation's.")
    missed: Missed = Field("once", description="What happens to firings missed while nothing was running.")
    period: Literal["", Period] = Field(
        "", description="Which days each task is about, if its days move along; empty: what `cron` suggests."
    )


def add_routes(app: FastAPI, steward: Steward, keeper: Doorkeeper) -> None:
    """Add the routes under `/v1/schedules`."""
    timetable = steward.timetable

    def route(path: str, method: str, summary: str, endpoint: Any, extra: dict[str, Any], status: int = 200) -> None:
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            status_code=status,
            summary=summary,
            operation_id=endpoint.__name__,
            response_class=Response,
            openapi_extra=extra,
            tags=["schedules"],
        )

    async def list_schedules(request: Request) -> Response:
        caller = await keeper.admit(request, *SEERS)
        found = await run_in_threadpool(timetable.find, caller)
        return _json({"schedules": [each.as_json() for each in found]})

    async def make_schedule(request: Request) -> Response:
        caller = await keeper.admit(request, *CHANGERS)
        key = query.key(request)
        order = as_model(Order, await read_json(request), "The schedule is not valid")
        handler = steward.registry.get(order.name)
        caller.require_ask(handler.name, handler.scope)

        def make() -> ScheduleStatus:
            return timetable.make(
                order.name,
                order.payload,
                order.cron,
                order.zone,
                missed=order.missed,
                period=order.period,
                key=key,
                caller=caller,
            )

        made = await run_in_threadpool(make)
        return _json(made.as_json(), 201, {"Location": f"/v1/schedules/{made.entry.id}"})

    async def get_schedule(request: Request) -> Response:
        caller = await keeper.admit(request, *SEERS)

        def look() -> dict[str, Any]:
            standing = timetable.get(request.path_params["schedule_id"], caller)
            firings = [
                {"due_at": moment(f.due_at), "outcome": f.outcome, "at": moment(f.at), "task_id": f.task_id}
                for f in timetable.history(standing.entry.id)
            ]
            return standing.as_json() | {"firings": firings}

        return _json(await run_in_threadpool(look))

    async def pause_schedule(request: Request) -> Response:
        return await change(request, lambda i, caller: timetable.pause(i, caller=caller).as_json())

    async def resume_schedule(request: Request) -> Response:
        return await change(request, lambda i, caller: timetable.resume(i, caller=caller).as_json())

    async def run_schedule(request: Request) -> Response:
        def run(schedule_id: str, caller: Caller) -> dict[str, Any]:
            return steward.service.get_status(timetable.run(schedule_id, caller=caller)).as_json()

        return await change(request, run, 202)

    async def delete_schedule(request: Request) -> Response:
        await change(request, lambda i, caller: timetable.remove(i, caller=caller))
        return Response(status_code=204)

    async def change(request: Request, act: Callable[[str, Caller], Any], status: int = 200) -> Response:
        caller = await keeper.admit(request, *CHANGERS)

        return _json(await run_in_threadpool(act, request.path_params["schedule_id"], caller), status)

    number = openapi.parameter("schedule_id", {"type": "string"}, "The schedule's id.", "path")
    key = openapi.parameter(
        "Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": 255}, "Makes a repeat harmless.", "header"
    )

    def says(
        status: int, schema: str, words: str, *problems: int, takes: tuple[Any, ...] = (number,)
    ) -> dict[str, Any]:
        answers = {str(status): openapi.answer(schema, words), **openapi.problems(401, 403, *problems)}
        return {"parameters": list(takes), "responses": answers}

    content: dict[str, Any] = {"schema": Order.model_json_schema()}
    registered = steward.registry.handlers
    for name in sorted(registered.keys() - openapi.hidden(registered, None))[:1]:
        content["example"] = {"name": name, "payload": openapi.example(registered[name]), "cron": "0 6 1 * *"}
    body = {"required": True, "content": {"application/json": content}}
    made = says(201, "Schedule", "It is kept.", 400, 404, 409, 413, 415, 422, 503, takes=(key,)) | {"requestBody": body}
    deleted = says(204, "Schedule", "", 404, 409)
    deleted["responses"]["204"] = {"description": "It is gone; the tasks that it has made stay."}
    one, path = "/v1/schedules/{schedule_id}", "/v1/schedules"
    route(path, "GET", "List schedules", list_schedules, says(200, "Schedules", "Listed by name.", 422, takes=()))
    route(path, "POST", "Have a task made again and again", make_schedule, made, 201)
    route(one, "GET", "See a schedule with its firings", get_schedule, says(200, "Schedule", "As it stands.", 404))
    route(f"{one}/pause", "POST", "Let it rest", pause_schedule, says(200, "Schedule", "It rests.", 404))
    route(
        f"{one}/resume",
        "POST",
        "Let it go on",
        resume_schedule,
        says(200, "Schedule", "It goes on from now.", 404, 409),
    )
    route(f"{one}/run", "POST", "Make its task now", run_schedule, says(202, "Task", "The task.", 404, 422, 503), 202)
    route(one, "DELETE", "Delete it", delete_schedule, deleted, 204)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(value), status, headers, "application/json")
