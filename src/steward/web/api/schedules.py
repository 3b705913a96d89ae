"""Routes that make, show and change schedules."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from steward.model.cron import LONGEST, Missed
from steward.model.declaration.handler import Handler
from steward.model.periods import Period
from steward.tasks.payloads import as_model
from steward.web.api.body import read_json
from steward.web.api.dependencies import Changer, GivenIdempotencyKey, Installation, Seer
from steward.web.api.models.problems import problems
from steward.web.api.models.schedules import PastFiringModel, ScheduleHistoryModel, ScheduleModel, SchedulesModel
from steward.web.api.models.tasks import TaskModel
from steward.web.api.openapi import example, hidden
from steward.web.api.route import UNREAD, root

ScheduleId = Annotated[str, Path(description="The schedule's id.")]


class ScheduleOrder(BaseModel):
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


async def _order(
    request: Request,
    key: GivenIdempotencyKey,
    told: Annotated[ScheduleOrder, Body()] = UNREAD,
) -> ScheduleOrder:
    return as_model(ScheduleOrder, await read_json(request), "The schedule is not valid")


def add_routes(router: APIRouter, handlers: dict[str, Handler]) -> None:
    """Add the routes under `/v1/schedules`; one of `handlers` is the example."""
    shown: dict[str, Any] = {"required": True}
    for name in sorted(handlers.keys() - hidden(handlers, None))[:1]:
        order = {"name": name, "payload": example(handlers[name]), "cron": "0 6 1 * *"}
        shown["content"] = {"application/json": {"example": order}}

    @router.get(
        "/v1/schedules",
        tags=["schedules"],
        summary="List schedules",
        response_description="Listed by name.",
        responses=problems(403),
    )
    async def list_schedules(caller: Seer, steward: Installation) -> SchedulesModel:
        found = await run_in_threadpool(steward.schedules.find, caller)
        return SchedulesModel.model_construct(schedules=[ScheduleModel.of(each) for each in found])

    @router.post(
        "/v1/schedules",
        tags=["schedules"],
        summary="Have a task made again and again",
        status_code=201,
        response_description="It is kept.",
        responses=problems(400, 403, 404, 409, 413, 415),
        openapi_extra={"requestBody": shown},
    )
    async def make_schedule(
        request: Request,
        response: Response,
        caller: Changer,
        key: GivenIdempotencyKey,
        order: Annotated[ScheduleOrder, Depends(_order)],
        steward: Installation,
    ) -> ScheduleModel:
        handler = steward.registry.get(order.name)
        caller.require_ask(handler.name, handler.scope)
        make = partial(
            steward.schedules.make,
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
        response.headers["Location"] = f"{root(request)}/v1/schedules/{made.entry.id}"
        return ScheduleModel.of(made)

    @router.get(
        "/v1/schedules/{schedule_id}",
        tags=["schedules"],
        summary="See a schedule with its firings",
        response_description="As it stands.",
        responses=problems(403, 404),
    )
    async def get_schedule(caller: Seer, schedule_id: ScheduleId, steward: Installation) -> ScheduleHistoryModel:
        def look() -> ScheduleHistoryModel:
            standing = steward.schedules.get(schedule_id, caller)
            firings = steward.schedules.history(standing.entry.id)
            return ScheduleHistoryModel.of(standing, firings=[PastFiringModel.of(each) for each in firings])

        return await run_in_threadpool(look)

    @router.post(
        "/v1/schedules/{schedule_id}/pause",
        tags=["schedules"],
        summary="Let it rest",
        response_description="It rests.",
        responses=problems(403, 404),
    )
    async def pause_schedule(caller: Changer, schedule_id: ScheduleId, steward: Installation) -> ScheduleModel:
        return ScheduleModel.of(await run_in_threadpool(steward.schedules.pause, schedule_id, caller=caller))

    @router.post(
        "/v1/schedules/{schedule_id}/resume",
        tags=["schedules"],
        summary="Let it go on",
        response_description="It goes on from now.",
        responses=problems(403, 404, 409),
    )
    async def resume_schedule(caller: Changer, schedule_id: ScheduleId, steward: Installation) -> ScheduleModel:
        return ScheduleModel.of(await run_in_threadpool(steward.schedules.resume, schedule_id, caller=caller))

    @router.post(
        "/v1/schedules/{schedule_id}/run",
        tags=["schedules"],
        summary="Make its task now",
        status_code=202,
        response_description="The task.",
        responses=problems(403, 404),
    )
    async def run_schedule(caller: Changer, schedule_id: ScheduleId, steward: Installation) -> TaskModel:
        def run() -> TaskModel:
            return TaskModel.of(steward.service.get_status(steward.schedules.run(schedule_id, caller=caller)))

        return await run_in_threadpool(run)

    @router.delete(
        "/v1/schedules/{schedule_id}",
        tags=["schedules"],
        summary="Delete it",
        status_code=204,
        response_description="It is gone; the tasks that it has made stay.",
        responses=problems(403, 404, 409),
    )
    async def delete_schedule(caller: Changer, schedule_id: ScheduleId, steward: Installation) -> Response:
        await run_in_threadpool(steward.schedules.remove, schedule_id, caller=caller)
        return Response(status_code=204)
