"""What is told of a payload: its whole schema, each model by a name of its own, and nothing that is only for us."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Body, FastAPI
from pydantic import BaseModel, Field

from steward import Email, Handler, Secret, handler
from steward.web.api.openapi import described, payload_schema


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


class Request(BaseModel):
    """A model that refers to itself, to another, and holds what nobody may know."""

    name: str
    mood: Mood = Mood.GOOD
    grant: str = Field("x", json_schema_extra={"choices_query": "SELECT secret FROM grants"})
    code: Secret = Secret("a default that is secret")
    inside: list[Request] = []


@handler(example=Request(name="Ada"))
def visit(request: Request) -> Email:
    """Visit somebody."""
    return Email(to=request.name, template="visit", context=request)


def other() -> Handler:
    """Return a handler of another plugin, which also calls its model "Request"."""

    class Request(BaseModel):
        mood: Mood

    @handler(example=Request(mood=Mood.BAD))
    def call(request: Request) -> Email:
        """Call somebody."""
        return Email(to="ada@example.org", template="call", context=request)

    return call


def document(*handlers: Handler) -> dict[str, Any]:
    """Return the components of an application that takes these payloads, one and many."""
    app = FastAPI()
    for each in handlers:
        model: Any = described(each)
        for path, kind in ((f"/{each.name}", model), (f"/{each.name}/bulk", list[model])):

            def take(body: Any) -> None: ...

            take.__annotations__["body"] = Annotated[kind, Body()]
            app.post(path, name=path)(take)
    schemas: dict[str, Any] = app.openapi()["components"]["schemas"]
    return schemas


def test_a_payload_is_described_under_its_handlers_name_with_everything_that_it_refers_to() -> None:
    schemas = document(visit)
    assert schemas["visit"] == {"$ref": "#/components/schemas/visit-Request"}
    whole = schemas["visit-Request"]
    assert whole["properties"]["inside"]["items"] == {"$ref": "#/components/schemas/visit-Request"}
    assert whole["properties"]["mood"] == {"$ref": "#/components/schemas/visit-Mood", "default": "good"}
    assert schemas["visit-Mood"]["enum"] == ["good", "bad"]
    assert whole == json.loads(
        json.dumps(payload_schema(visit)["$defs"]["Request"]).replace("#/$defs/", "#/components/schemas/visit-")
    )


def test_models_of_one_name_are_told_apart() -> None:
    schemas = document(visit, other())
    assert set(schemas["call"]["properties"]) == {"mood"}
    assert schemas["call"]["properties"]["mood"] == {"$ref": "#/components/schemas/call-Mood"}
    assert {"visit", "visit-Request", "visit-Mood", "call", "call-Mood"} <= set(schemas)


def test_what_is_only_for_our_forms_and_secret_defaults_are_not_told() -> None:
    said = json.dumps(document(visit))
    assert "choices_query" not in said
    assert "SELECT" not in said
    assert "secret" not in said
    assert "•" not in said
