"""Describes the HTTP interface: what each handler takes, as FastAPI is told of it, and the whole for each caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue, models_json_schema
from pydantic_core import CoreSchema

from steward.installation.container import Steward
from steward.model.caller import Caller
from steward.model.content import MASK
from steward.model.declaration.handler import Handler
from steward.model.payload import as_sent

PRIVATE = ("choices_query",)
"""What a schema tells only our own forms: statements for the application's database."""

_DEFINITIONS = "#/$defs/"


def example(handler: Handler) -> Any:
    """Return the handler's example as JSON values that the service accepts as they stand.

    Its secrets are told, for dots would be refused: an example is public, and what stands in it is made up.
    """
    return as_sent(handler.example)


def payload_schema(handler: Handler) -> dict[str, Any]:
    """Return the JSON schema of the handler's payload, without what only our forms may know."""
    return cast(dict[str, Any], public(handler.payload.model_json_schema(by_alias=True)))


def public(schema: Any) -> Any:
    """Return `schema` without its private members, and without the values that are but dots."""
    if isinstance(schema, dict):
        return {key: public(value) for key, value in schema.items() if key not in PRIVATE and not _dots(key, value)}
    return [public(value) for value in schema] if isinstance(schema, list) else schema


def _dots(key: str, value: Any) -> bool:
    """Whether it is a value of the schema with a secret in it, which nobody is told and nobody may send back."""
    is_field = isinstance(value, dict) and not value.keys().isdisjoint(("type", "$ref", "anyOf"))  # so named
    return key in ("default", "examples", "const") and not is_field and MASK in str(value)


class DescriptionModel(BaseModel):
    """A model that only describes: `told` is its schema. Its fields, if any, are the models that `told` refers to."""

    told: ClassVar[dict[str, Any]]

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return `told`, its references as the document that is made just now calls them."""
        found = handler.resolve_ref_schema(handler(core))
        names = {str(each.alias): found["properties"][each.alias]["$ref"] for each in cls.model_fields.values()}
        found.clear()
        found.update(_renamed(cls.told, names))
        return found


def described(handler: Handler) -> type[BaseModel]:
    """Return a model for FastAPI that is described as the handler's payload is to everybody.

    It is named for the handler, and a nested model `<handler>-<model>`: two plugins may both call one "Request". The
    payload's own model would be described with what only our forms may know.
    """
    whole = payload_schema(handler)
    nested: dict[str, dict[str, Any]] = whole.pop("$defs", {})
    models = {name: _model(f"{handler.name}-{name}", told) for name, told in nested.items()}
    top = _model(handler.name, whole)
    for model in (*models.values(), top):
        model.model_rebuild(_types_namespace={f"Told_{name}": each for name, each in models.items()})
    return top


def _model(name: str, told: dict[str, Any]) -> type[BaseModel]:
    used = sorted({reference.removeprefix(_DEFINITIONS) for reference in _references(told)})
    fields: dict[str, Any] = {f"f{i}": (f"Told_{each}", Field(alias=each)) for i, each in enumerate(used)}
    model = create_model(name, __base__=DescriptionModel, __module__=__name__, **fields)
    model.told = told
    return model


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if str(schema.get("$ref", "")).startswith(_DEFINITIONS):
            yield schema["$ref"]
        schema = list(schema.values())
    for each in schema if isinstance(schema, list) else ():
        yield from _references(each)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, dict):
        return {
            key: names[value.removeprefix(_DEFINITIONS)]
            if key == "$ref" and str(value).startswith(_DEFINITIONS)
            else _renamed(value, names)
            for key, value in schema.items()
        }
    return [_renamed(each, names) for each in schema] if isinstance(schema, list) else schema


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
        for route in app.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    _finish(document["paths"][route.path_format][method.lower()], route)
        schemas = document["components"]["schemas"]
        ours = {name: schema for name, schema in schemas.items() if "-" not in name}  # not a payload's nested model
        document["components"]["schemas"] = ours | component_schemas(steward.registry.handlers)
        app.openapi_schema = document
    return app.openapi_schema


def _finish(operation: dict[str, Any], route: APIRoute) -> None:
    """Put back the null that FastAPI leaves out of an example, and leave out the titles that it makes of names."""
    for each in operation.get("parameters", ()):
        each["schema"].pop("title", None)
        each["schema"].pop("description", None)
    shown = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        content["schema"].pop("title", None)
        content |= shown.get(kind, {})
