"""Describes the HTTP interface: each handler's payload schema, its example, and what may come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from steward.model.caller import Caller
from steward.model.content import MASK
from steward.model.declaration.handler import Handler
from steward.model.payload import as_sent
from steward.model.periods import PERIODS
from steward.model.results import Outcome
from steward.model.states import State

if TYPE_CHECKING:
    from steward.installation.container import Steward

TIME = {"type": "string", "format": "date-time"}
PRIVATE = ("choices_query",)
"""What a schema tells only our own forms: statements for the application's database."""


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


_TEXT = {"type": "string"}
_DAY = {"type": "string", "format": "date"}
_WHOLE = {"type": "integer"}

SCHEMAS: dict[str, Any] = {
    "Delivery": _object(
        {
            "to": _TEXT,
            "outcome": {"type": "string", "enum": [o.value for o in Outcome]},
            "code": _maybe(_WHOLE),
            "reply": _TEXT,
            "message_id": _TEXT,
            "subject": _TEXT,
            "possible_duplicate": {"type": "boolean"},
            "at": _maybe(TIME),
        }
    ),
    "Artifact": _object({"n": _WHOLE, "name": _TEXT, "media_type": _TEXT, "size": _WHOLE, "sha256": _TEXT}),
    "Task": _object(
        {
            "id": _TEXT,
            "name": _TEXT,
            "state": {"type": "string", "enum": [s.value for s in State]},
            "attempt": _WHOLE,
            "created_at": TIME,
            "due_at": TIME,
            "started_at": _maybe(TIME),
            "finished_at": _maybe(TIME),
            "expires_at": _maybe(TIME),
            "progress": _maybe({"type": "number", "minimum": 0, "maximum": 1}),
            "progress_text": _TEXT,
            "error": _maybe(_TEXT),
            "note": _maybe(_TEXT),
            "figures": {
                "type": "object",
                "additionalProperties": {"type": ["number", "string", "boolean", "null"]},
            },
            "deliveries": {"type": "array", "items": {"$ref": "#/components/schemas/Delivery"}},
            "artifacts": {"type": "array", "items": {"$ref": "#/components/schemas/Artifact"}},
        }
    ),
    "Tasks": _object(
        {
            "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/Task"}},
            "next_cursor": _maybe(_TEXT),
        }
    ),
    "Firing": _object(
        {
            "due_at": TIME,
            "outcome": {"type": "string", "enum": ["fired", "missed", "refused", "by hand"]},
            "task_id": _maybe(_TEXT),
        }
    ),
    "Schedule": _object(
        {
            "id": _TEXT,
            "name": _TEXT,
            "origin": {"type": "string", "enum": ["plugin", "setting", "person"]},
            "cron": _TEXT,
            "zone": _TEXT,
            "missed": {"type": "string", "enum": ["skip", "once", "all"]},
            "period": {"type": "string", "enum": ["", *PERIODS]},
            "payload": {"type": "object"},
            "owner": _TEXT,
            "created_at": TIME,
            "paused_at": _maybe(TIME),
            "paused_by": _maybe(_TEXT),
            "next_at": _maybe(TIME),
            "ended_at": _maybe(TIME),
            "ended": _maybe(_TEXT),
            "words": _TEXT,
            "about": _TEXT,
            "next": {"type": "array", "items": TIME},
            "next_days": _maybe(_object({"first": _DAY, "last": _DAY})),
            "last": _maybe({"$ref": "#/components/schemas/Firing"}),
        }
    ),
    "Schedules": _object({"schedules": {"type": "array", "items": {"$ref": "#/components/schemas/Schedule"}}}),
    "Ids": _object({"ids": {"type": "array", "items": _TEXT}, "count": _WHOLE}),
    "Problem": {
        "type": "object",
        "description": "A problem document (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": _TEXT,
            "status": _WHOLE,
            "detail": _TEXT,
            "remedy": _TEXT,
            "instance": _TEXT,
            "errors": {
                "type": "array",
                "items": _object({"field": _TEXT, "message": _TEXT, "nearest": _maybe(_TEXT)}),
            },
            "errors_left_out": _WHOLE,
        },
        "required": ["type", "title", "status", "detail"],
    },
}

_WORDS = {
    400: "The body cannot be read.",
    401: "No key, or one that is not in use.",
    403: "The key lacks the scope.",
    404: "No such task, or not yours.",
    409: "The present state, or an idempotency key, does not allow it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The payload or an option is not valid; `errors` names each field.",
    503: "The store cannot be used just now; nothing was accepted.",
    429: "There would be more for one recipient than is taken; `Retry-After` says when it is.",
    507: "There is no room left; nothing was accepted.",
}


def problems(*statuses: int) -> dict[str, Any]:
    """Return the responses of these statuses, each a problem document."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": _WORDS[status], "content": content} for status in statuses}


def answer(schema: str, description: str) -> dict[str, Any]:
    """Return a response whose body is the named schema."""
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def parameter(name: str, schema: dict[str, Any], description: str, where: str = "query") -> dict[str, Any]:
    """Return one parameter."""
    return {"name": name, "in": where, "required": where == "path", "schema": schema, "description": description}


_KEY = parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "Your own: a repeat under it is answered with what it made, another request with 409.",
    "header",
)
OPTIONS = [
    parameter("run_at", TIME, "Start then, not now."),
    parameter("expires_at", TIME, "Nothing is sent after this time."),
    parameter("priority", {"type": "integer", "minimum": -100, "maximum": 100}, "Higher goes first."),
]


def submission(handler: Handler) -> dict[str, Any]:
    """Return what OpenAPI says of handing over one task of this kind."""
    body = {"schema": {"$ref": f"#/components/schemas/{handler.name}"}, "example": example(handler)}
    accepted = answer("Task", "The task is on disk and will not be lost.")
    accepted["headers"] = {"Location": {"description": "Where the task is found.", "schema": _TEXT}}
    return {
        "parameters": [_KEY, *OPTIONS],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"202": accepted, **problems(400, 401, 403, 409, 413, 415, 422, 429, 503, 507)},
    }


def bulk(handler: Handler, most: int) -> dict[str, Any]:
    """Return what OpenAPI says of handing over many tasks of this kind."""
    items = {"type": "array", "maxItems": most, "items": {"$ref": f"#/components/schemas/{handler.name}"}}
    return {
        "parameters": [_KEY, *OPTIONS],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": items, "example": [example(handler)]}},
        },
        "responses": {
            "202": answer("Ids", "All are on disk, in one commit; the ids are in the order of the array."),
            **problems(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
        },
    }


def example(handler: Handler) -> Any:
    """Return the handler's example as JSON values that the service accepts as they stand.

    Its secrets are told, for dots would be refused: an example is public, and what stands in it is made up.
    """
    return as_sent(handler.example)


def payload_schema(handler: Handler) -> dict[str, Any]:
    """Return the JSON schema of the handler's payload, without what only our forms may know."""
    schema: dict[str, Any] = public(handler.payload.model_json_schema(by_alias=True))
    return schema


def public(schema: Any) -> Any:
    """Return `schema` without its private members, and without the values that are but dots."""
    if isinstance(schema, dict):
        return {key: public(value) for key, value in schema.items() if key not in PRIVATE and not _dots(key, value)}
    return [public(value) for value in schema] if isinstance(schema, list) else schema


def _dots(key: str, value: Any) -> bool:
    """Whether it is a value of the schema with a secret in it, which nobody is told and nobody may send back."""
    is_field = isinstance(value, dict) and not value.keys().isdisjoint(("type", "$ref", "anyOf"))  # so named
    return key in ("default", "examples", "const") and not is_field and MASK in str(value)


def component_schemas(handlers: dict[str, Handler]) -> dict[str, Any]:
    """Return each payload's schema under its handler's name; nested models are named `<handler>.<model>`."""
    found: dict[str, Any] = {}
    for name, handler in handlers.items():
        # Two plugins may both call a model "Request"; each payload is therefore described by itself.
        template = f"#/components/schemas/{name}.{{model}}"
        refs, described = models_json_schema([(handler.payload, "validation")], ref_template=template)
        for model, schema in described.get("$defs", {}).items():
            found[f"{name}.{model}"] = public(schema)
        found[name] = refs[(handler.payload, "validation")]
    return found


def describe(app: FastAPI, steward: Steward, caller: Caller | None) -> dict[str, Any]:
    """Return the OpenAPI document with the tasks that `caller` may ask for; to nobody in particular, everybody's."""
    whole, handlers = _whole(app, steward), steward.registry.handlers
    unseen = hidden(handlers, caller)
    paths = {
        path: said
        for path, said in whole["paths"].items()
        if path.removeprefix("/v1/tasks/").removesuffix("/bulk") not in unseen
    }
    components = whole["components"]
    schemas = {name: said for name, said in components["schemas"].items() if name.partition(".")[0] not in unseen}
    return {**whole, "paths": paths, "components": {**components, "schemas": schemas}}


def hidden(handlers: dict[str, Handler], caller: Caller | None) -> set[str]:
    """Return the names that `caller` may not ask for; without one, those that not everybody is told of."""
    return {
        name
        for name, handler in handlers.items()
        if not (handler.scope in ("send", "reports") if caller is None else caller.may_ask(name, handler.scope))
    }


def _whole(app: FastAPI, steward: Steward) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title="Steward",
            version=app.version,
            summary="Hand over a task, and think of it no more.",
            routes=app.routes,
            servers=[{"url": steward.settings.public_url}],
        )
        for route in app.routes:  # null is left out there, and may be needed
            if isinstance(route, APIRoute) and route.include_in_schema:
                for kind, content in ((route.openapi_extra or {}).get("requestBody", {}).get("content", {})).items():
                    for method in route.methods or ():
                        said = document["paths"][route.path_format][method.lower()]["requestBody"]["content"][kind]
                        said |= {"example": content["example"]} if "example" in content else {}
        components = document.setdefault("components", {})
        components["schemas"] = {**SCHEMAS, **component_schemas(steward.registry.handlers)}
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
