"""Routes that read tasks back and change one's fate, and that say what this installation can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import BackgroundTasks, FastAPI
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from steward.model.declaration.handler import Handler
from steward.model.results import TaskResult
from steward.model.states import State
from steward.web.access.keys import CHANGERS, SEERS, Doorkeeper, own
from steward.web.api import downloads, openapi, query
from steward.web.threads import run_writing
from steward.worker.engines.background import during

if TYPE_CHECKING:
    from steward.installation.container import Steward

_ID = openapi.parameter("task_id", {"type": "string"}, "The task's id.", "path")
_SEARCH = [
    openapi.parameter(
        "state",
        {"type": "array", "items": {"type": "string", "enum": [s.value for s in State]}},
        "May be given several times, or with commas.",
    ),
    openapi.parameter("name", {"type": "string"}, "The handler's name."),
    openapi.parameter("recipient", {"type": "string"}, "The whole address."),
    openapi.parameter("since", openapi.TIME, "Accepted then or later."),
    openapi.parameter("until", openapi.TIME, "Accepted before then."),
    openapi.parameter("text", {"type": "string"}, "Part of a recipient, an id, an error or a name."),
    openapi.parameter("cursor", {"type": "string"}, "`next_cursor` of the page before."),
    openapi.parameter("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}, "Most per page."),
]


def as_json(value: Any, status: int = 200, later: BackgroundTasks | None = None) -> Response:
    """Return `value` as a JSON response, after which `later` is done."""
    return Response(to_json(value), status, media_type="application/json", background=later)


def describe(handler: Handler) -> dict[str, Any]:
    """Return what a caller needs to know of a handler."""
    return {
        "name": handler.name,
        "title": handler.title,
        "summary": handler.summary,
        "description": handler.description,
        "lane": handler.lane,
        "scope": handler.scope,
        "staff": handler.staff,
        "important": handler.important,
        "schedules": [{"cron": s.cron, "zone": s.zone, "missed": s.missed} for s in handler.schedules],
        "schema": openapi.payload_schema(handler),
        "example": openapi.example(handler),
    }


def add_routes(app: FastAPI, steward: Steward, keeper: Doorkeeper) -> None:
    """Add the routes under `/v1` that read, cancel, retry, download and describe."""
    service = steward.service

    def route(path: str, method: str, summary: str, endpoint: Any, extra: dict[str, Any]) -> None:
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            summary=summary,
            operation_id=endpoint.__name__,
            response_class=Response,
            openapi_extra=extra,
            tags=["tasks" if path.startswith("/v1/tasks") else "installation"],
        )

    def one_of(schema: str, words: str, *statuses: int, parameters_: tuple[Any, ...] = ()) -> dict[str, Any]:
        return {
            "parameters": list(parameters_),
            "responses": {"200": openapi.answer(schema, words), **openapi.problems(*statuses)},
        }

    async def find_tasks(request: Request) -> Response:
        caller = await keeper.admit(request, *SEERS)
        page = await run_in_threadpool(service.find, query.query(request, caller))
        return as_json({"tasks": [t.as_json() for t in page.tasks], "next_cursor": page.next_cursor})

    async def get_task(request: Request) -> Response:
        caller = await keeper.admit(request, *SEERS)
        task = await run_in_threadpool(service.get_status, request.path_params["task_id"])
        return as_json(own(caller, task).as_json())

    async def cancel_task(request: Request) -> Response:
        return await change(request, service.cancel)

    async def retry_task(request: Request) -> Response:
        return await change(request, service.retry)

    async def change(request: Request, act: Any) -> Response:
        caller = await keeper.admit(request, *CHANGERS)

        def acted() -> TaskResult:
            task: TaskResult = act(request.path_params["task_id"], caller=caller)
            return task

        later = BackgroundTasks()
        with during(later):
            task = await run_writing(acted)
        return as_json(task.as_json(), later=later)

    async def get_artifact(request: Request) -> Response:
        caller = await keeper.admit(request, "reports", "operate")
        path = request.path_params
        return await run_in_threadpool(downloads.respond, steward, caller, path["task_id"], path["n"], request)

    async def list_handlers(request: Request) -> Response:
        caller = await keeper.admit(request)
        known = sorted(steward.registry.handlers.items())
        return as_json({"handlers": [describe(h) for name, h in known if caller.may_ask(name, h.scope)]})

    async def list_plugins(request: Request) -> Response:
        caller = await keeper.admit(request, "read", "operate")
        return as_json(
            {
                "plugins": [
                    {"name": p.name, "origin": p.origin, "handlers": list(p.handlers), "error": p.error or None}
                    for p in (each.shown_to(caller) for each in steward.registry.plugins)
                ]
            }
        )

    found = one_of("Tasks", "One page, newest first.", 401, 403, 422, parameters_=tuple(_SEARCH))
    task = one_of("Task", "The task as it stands.", 401, 403, 404, parameters_=(_ID,))
    changed = one_of("Task", "The task as it stands now.", 401, 403, 404, 409, 503, parameters_=(_ID,))
    number = openapi.parameter("n", {"type": "string"}, "The file's number.", "path")
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    file = {
        "parameters": [_ID, number],
        "responses": {
            "200": {"description": "The file.", "content": content},
            "304": {"description": "The file that you have is the same."},
            **openapi.problems(401, 403, 404, 503),
        },
    }
    listed = {"responses": {"200": {"description": "Listed.", "content": {"application/json": {"schema": {}}}}}}
    route("/v1/tasks", "GET", "Find tasks", find_tasks, found)
    route("/v1/tasks/{task_id}", "GET", "See how a task fares", get_task, task)
    route("/v1/tasks/{task_id}/cancel", "POST", "Stop a task that is not finished", cancel_task, changed)
    route("/v1/tasks/{task_id}/retry", "POST", "Try a task again now", retry_task, changed)
    route("/v1/tasks/{task_id}/artifacts/{n}", "GET", "Download a file", get_artifact, file)
    route("/v1/handlers", "GET", "List the kinds of tasks", list_handlers, listed)
    route("/v1/plugins", "GET", "List the plugins, broken ones too", list_plugins, listed)
