"""What is wrong with a payload is named with its place, and never more of it than somebody would read."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from steward.errors import InvalidPayload
from steward.tasks.payloads import MOST_PROBLEMS, as_model

MANY = 200_000


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["a", "b"] = "a"
    size: int = 0


class Other(BaseModel):
    text: str


class Order(BaseModel):
    name: str
    numbers: list[int | bool] = []
    parts: list[Inner | Other] = []
    table: dict[str, int] = {}


def refused(payload: Any) -> InvalidPayload:
    with pytest.raises(InvalidPayload) as raised:
        as_model(Order, payload, "It is not valid")
    return raised.value


HUGE = {
    "unknown names": {"name": "x"} | {f"strange{n}": n for n in range(MANY)},
    "an unknown name of a megabyte": {"name": "x", "n" * 1_000_000: 1},
    "wrong numbers": {"name": "x", "numbers": ["a"] * MANY},
    "wrong parts, in two ways each": {"name": "x", "parts": [{}, {"text": 1}] * (MANY // 2)},
    "wrong values under long names": {"name": "x", "table": {f"{n}" * 10_000: "a" for n in range(200)}},
    "everything at once": {f"strange{n}": n for n in range(MANY)} | {"numbers": ["a"] * MANY},
}


@pytest.mark.parametrize("payload", HUGE.values(), ids=HUGE)
def test_what_is_wrong_many_times_is_named_a_hundred_times_at_most(payload):
    error = refused(payload)
    assert 1 <= len(error.problems) <= MOST_PROBLEMS
    assert all(len(p.field) <= 400 and len(p.message) <= 500 for p in error.problems)
    assert len(str(error)) < 100_000


def test_those_that_are_not_named_are_counted():
    error = refused({"name": "x"} | {f"strange{n}": n for n in range(1000)})
    assert (len(error.problems), error.more) == (100, 900)
    error = refused({"name": "x", "numbers": ["a"] * 500})
    assert (len(error.problems), error.more) == (100, 900)  # each is neither a number nor a yes or no
    assert refused({"name": 1, "numbers": ["a"]}).more == 0


def test_the_first_of_very_many_are_named_with_their_places():
    error = refused({"name": "x", "numbers": [1, "a", *["b"] * MANY]})
    assert error.problems[0].field.startswith("numbers.1.")


@pytest.mark.parametrize(
    ("payload", "field", "words", "nearest"),
    [
        ({"name": "x", "nmae": 1}, "nmae", "there is no such field", "name"),
        ({"name": "x", "parts": [{"colour": 1}]}, "parts.0.Inner.colour", "there is no such field", None),
        ({}, "name", "Field required", None),
        ([], "", "it is not an object", None),
    ],
)
def test_each_problem_has_its_place_and_words(payload, field, words, nearest):
    assert (field, words, nearest) in [(p.field, p.message, p.nearest) for p in refused(payload).problems]
