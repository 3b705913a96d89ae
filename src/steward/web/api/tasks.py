"""Routes that read tasks back and change one's fate, and that say what this installation can do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, BackgroundTasks, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from steward.model.results import TaskResult
from steward.web.access.keys import own
from steward.web.api import downloads
from steward.web.api.dependencies import AnyCaller, Changer, Downloader, Installation, PluginSeer, Seer
from steward.web.api.models.installation import HandlerModel, HandlersModel, PluginModel, PluginsModel
from steward.web.api.models.problems import problems
from steward.web.api.models.tasks import TaskModel, TasksModel
from steward.web.api.query import TaskFilter
from steward.web.group_commit import run_writing
from steward.worker.engines.background import during

TaskId = Annotated[str, Path(description="The task's id.")]
FileNumber = Annotated[str, Path(description="The file's number.")]
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The file that you have is the same."},
}


def add_routes(router: APIRouter) -> None:
    """Add the routes under `/v1` that read, cancel, retry, download and describe."""

    @router.get(
        "/v1/tasks",
        tags=["tasks"],
        summary="Find tasks",
        response_description="One page, newest first.",
        responses=problems(403),
    )
    async def find_tasks(caller: Seer, wanted: Annotated[TaskFilter, Query()], steward: Installation) -> TasksModel:
        return TasksModel.of(await run_in_threadpool(steward.service.find, wanted.query(caller)))

    @router.get(
        "/v1/tasks/{task_id}",
        tags=["tasks"],
        summary="See how a task fares",
        response_description="The task as it stands.",
        responses=problems(403, 404),
    )
    async def get_task(caller: Seer, task_id: TaskId, steward: Installation) -> TaskModel:
        task = await run_in_threadpool(steward.service.get_status, task_id)
        return TaskModel.of(own(caller, task))

    changing: dict[str, Any] = {
        "tags": ["tasks"],
        "response_description": "The task as it stands now.",
        "responses": problems(403, 404, 409),
    }

    @router.post("/v1/tasks/{task_id}/cancel", summary="Stop a task that is not finished", **changing)
    async def cancel_task(caller: Changer, task_id: TaskId, steward: Installation, later: BackgroundTasks) -> TaskModel:
        return await _changed(partial(steward.service.cancel, task_id, caller=caller), later)

    @router.post("/v1/tasks/{task_id}/retry", summary="Try a task again now", **changing)
    async def retry_task(caller: Changer, task_id: TaskId, steward: Installation, later: BackgroundTasks) -> TaskModel:
        return await _changed(partial(steward.service.retry, task_id, caller=caller), later)

    @router.get(
        "/v1/tasks/{task_id}/artifacts/{n}",
        tags=["tasks"],
        summary="Download a file",
        response_class=Response,
        response_description="The file.",
        responses=_FILE | problems(403, 404),
    )
    async def get_artifact(
        request: Request, caller: Downloader, task_id: TaskId, n: FileNumber, steward: Installation
    ) -> Response:
        return await run_in_threadpool(downloads.respond, steward, caller, task_id, n, request)

    @router.get(
        "/v1/handlers",
        tags=["installation"],
        summary="List the kinds of tasks",
        response_description="Listed.",
    )
    async def list_handlers(caller: AnyCaller, steward: Installation) -> HandlersModel:
        known = sorted(steward.registry.handlers.items())
        theirs = [HandlerModel.of(handler) for name, handler in known if caller.may_ask(name, handler.scope)]
        return HandlersModel.model_construct(handlers=theirs)

    @router.get(
        "/v1/plugins",
        tags=["installation"],
        summary="List the plugins, broken ones too",
        response_description="Listed.",
        responses=problems(403),
    )
    async def list_plugins(caller: PluginSeer, steward: Installation) -> PluginsModel:
        shown = (each.shown_to(caller) for each in steward.registry.plugins)
        return PluginsModel.model_construct(plugins=[PluginModel.of(each) for each in shown])


async def _changed(act: Callable[[], TaskResult], later: BackgroundTasks) -> TaskModel:
    with during(later):
        return TaskModel.of(await run_writing(act))
