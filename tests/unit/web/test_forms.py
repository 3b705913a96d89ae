"""Forms drawn from schemas, and read back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, EmailStr, Field

from steward import Secret
from steward.errors import FieldProblem
from steward.web.pages import forms


class Size(StrEnum):
    small = "small"
    very_large = "very_large"


class Inner(BaseModel):
    a: int


class Wide(BaseModel):
    name: str = Field(title="Your name", description="As on the card.", examples=["Ada"])
    email: EmailStr
    other: EmailStr | None = None
    day: date
    at: datetime | None = None
    count: int = Field(3, ge=1, le=9)
    money: Decimal = Decimal("2.50")
    ratio: float | None = None
    yes: bool = True
    size: Size = Size.small
    fixed: Literal["a", "b"] | None = None
    people: list[EmailStr] = []
    tags: list[str]
    kinds: list[Literal["x", "y"]] = ["x"]
    inner: Inner | None = None
    several: list[Inner] = []
    text: str = Field("", max_length=4000)
    secret: Secret
    grant: str = Field(json_schema_extra={"choices_query": "SELECT 1"})


def drawn(choices: forms.Choices = lambda statement: [("1", "One")]) -> dict[str, forms.FormField]:
    return {f.name: f for f in forms.fields(Wide.model_json_schema(), choices)}


def test_each_kind_of_field_is_drawn_as_such() -> None:
    assert {name: f.kind for name, f in drawn().items()} == {
        "name": "text",
        "email": "email",
        "other": "email",
        "day": "date",
        "at": "datetime-local",
        "count": "number",
        "money": "number",
        "ratio": "number",
        "yes": "checkbox",
        "size": "select",
        "fixed": "select",
        "people": "lines",
        "tags": "lines",
        "kinds": "checks",
        "inner": "json",
        "several": "json",
        "text": "long",
        "secret": "password",
        "grant": "select",
    }


def test_titles_hints_defaults_and_limits_are_kept() -> None:
    found = drawn()
    assert (found["name"].title, found["name"].hint, found["name"].placeholder) == (
        "Your name",
        "As on the card.",
        "Ada",
    )
    assert found["name"].required
    assert not found["other"].required
    assert found["other"].optional
    assert not found["count"].optional
    assert found["count"].value == "3"
    assert found["count"].limits == {"min": 1, "max": 9, "step": 1}
    assert found["yes"].value is True
    assert found["size"].choices == (("small", "Small"), ("very_large", "Very large"))
    assert found["kinds"].value == ["x"]
    assert found["grant"].choices == (("1", "One"),)


def test_a_source_that_does_not_answer_leaves_a_plain_field() -> None:
    grant = drawn(lambda statement: None)["grant"]
    assert grant.kind == "text"
    assert "cannot be read" in grant.note


def test_what_is_filled_in_becomes_the_payload() -> None:
    values = {
        "name": [" Ada "],
        "email": ["ada@example.org"],
        "other": [""],
        "day": ["2026-03-01"],
        "at": ["2026-03-01T08:00"],
        "count": ["7"],
        "money": ["12.50"],
        "ratio": ["0.5"],
        "size": ["very_large"],
        "people": ["a@example.org, b@example.org;\r\nc@example.org\n\n"],
        "tags": ["one, two\nthree"],
        "kinds": ["x", "y"],
        "several": ['[{"a": 1}]'],
        "text": ["one\r\ntwo"],
        "secret": [" keep my spaces "],
        "grant": ["1"],
    }
    payload, problems = forms.payload(list(drawn().values()), values)
    assert problems == []
    model = Wide.model_validate(payload)
    assert model.name == "Ada"
    assert model.other is None
    assert model.at is not None
    assert model.at == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert model.count == 7
    assert model.money == Decimal("12.50")
    assert model.yes is False
    assert model.people == ["a@example.org", "b@example.org", "c@example.org"]
    assert model.tags == ["one, two", "three"]
    assert model.kinds == ["x", "y"]
    assert model.several == [Inner(a=1)]
    assert model.text == "one\ntwo"
    assert model.secret.reveal() == " keep my spaces "


class MayBeNothing(BaseModel):
    """Every kind of field that must be said and may be nothing, and some whose default is another."""

    text: str | None
    email: EmailStr | None
    day: date | None
    at: datetime | None
    count: int | None
    money: Decimal | None
    yes: bool | None
    size: Size | None
    fixed: Literal["a", None]
    people: list[EmailStr] | None
    kinds: list[Literal["x", "y"]] | None
    inner: Inner | None
    secret: Secret | None
    long: str | None = Field(max_length=4000)
    grant: str | None = Field(json_schema_extra={"choices_query": "SELECT 1"})
    of_three: int | None = 3
    of_true: bool | None = True
    of_a: Literal["a", "b"] | None = "a"
    of_one: list[str] | None = ["one"]


def nothing() -> dict[str, forms.FormField]:
    return {f.name: f for f in forms.fields(MayBeNothing.model_json_schema(), lambda statement: [("1", "One")])}


def test_what_may_be_nothing_can_be_left_empty_and_is_said_to_be_nothing() -> None:
    found = nothing()
    assert [name for name, f in found.items() if f.required or not f.optional] == []
    for values in ({}, {name: [""] for name, f in found.items() if f.kind != "checks"}):
        payload, problems = forms.payload(list(found.values()), values)
        assert problems == []
        assert set(MayBeNothing.model_validate(payload).model_dump().values()) == {None}


def test_what_may_be_nothing_is_what_was_filled_in_otherwise() -> None:
    found = nothing()
    assert {found[name].kind for name in ("yes", "of_true", "size", "fixed")} == {"select"}
    assert (found["fixed"].choices, found["of_true"].value) == ((("a", "A"),), "true")
    values = {
        "yes": ["false"],
        "of_true": ["true"],
        "fixed": ["a"],
        "count": ["0"],
        "kinds": ["y"],
        "people": ["a@x.org"],
    }
    payload, problems = forms.payload(list(found.values()), values)
    model = MayBeNothing.model_validate(payload)
    assert problems == []
    assert (model.yes, model.of_true, model.fixed, model.count) == (False, True, "a", 0)
    assert (model.kinds, model.people) == (["y"], ["a@x.org"])


def test_what_cannot_be_read_is_said() -> None:
    payload, problems = forms.payload(list(drawn().values()), {"inner": ["{"], "count": ["many"]})
    assert payload["count"] == "many"
    assert {p.field for p in problems} == {"name", "email", "day", "inner", "secret", "grant"}


def test_problems_stand_beside_their_fields_and_values_are_kept() -> None:
    problems = [
        FieldProblem("people.1", "value is not a valid email address: no @"),
        FieldProblem("count", "Input should be a valid integer, unable to parse"),
        FieldProblem("", "the whole of it is odd"),
    ]
    values = {"people": ["a\nb"], "secret": ["hidden"], "kinds": ["y"], "yes": ["true"]}
    fields = list(drawn().values())
    kept = {f.name: f for f in forms.filled(fields, values, problems)}
    assert kept["people"].error == "Line 2: This is not an e-mail address."
    assert kept["people"].value == "a\nb"
    assert kept["count"].error == "Write a whole number."
    assert kept["secret"].value == ""
    assert kept["kinds"].value == ["y"]
    assert kept["yes"].value is True
    assert forms.elsewhere(fields, problems) == ["the whole of it is odd"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-01T08:00", "2026-03-01T07:00:00Z"),
        ("2026-07-01T08:00", "2026-07-01T06:00:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),  # it comes twice: the first
        ("2026-07-01T08:00Z", "2026-07-01T08:00:00Z"),  # it says its own zone
    ],
)
def test_a_time_in_a_form_is_one_of_the_installations_zone(written: str, read: str) -> None:
    payload, problems = forms.payload([drawn()["at"]], {"at": [written]}, ZoneInfo("Europe/Berlin"))
    assert problems == []
    assert datetime.fromisoformat(payload["at"]) == datetime.fromisoformat(read)


def test_what_is_no_time_is_left_for_the_model_to_refuse() -> None:
    assert forms.payload([drawn()["at"]], {"at": ["tomorrow"]}, ZoneInfo("Europe/Berlin")) == ({"at": "tomorrow"}, [])
