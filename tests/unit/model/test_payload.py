"""What is kept of a payload reads back equal, or is refused before it is kept."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    SecretStr,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
)
from pydantic.alias_generators import to_camel
from tests.house.repository import ROOT

from steward import Private, Secret
from steward.errors import InvalidPayload
from steward.model.payload import keep, read


class Inner(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    last_name: str
    _seen: Any = PrivateAttr(default_factory=uuid.uuid4)


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", serialize_by_alias=True)
    first_name: str
    the_inner: Inner

    @computed_field  # type: ignore[prop-decorator]
    @property
    def initial(self) -> str:
        return self.first_name[:1]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Pets(BaseModel):
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    either: Cat | Dog | None = None


class Apart(BaseModel):
    out: str = Field(serialization_alias="written")
    into: str = Field(validation_alias="read")


class Swapped(BaseModel):
    a: int = Field(alias="b")
    b: int = Field(alias="a")


class Colour(StrEnum):
    red = "red"


class Level(Enum):
    low = 1


class Kinds(BaseModel):
    at: datetime
    clock: time
    day: date
    span: timedelta
    amount: Decimal
    number: int
    number_or_words: int | str
    share: float
    colour: Colour
    level: Level
    names: set[str]
    frozen: frozenset[int]
    pair: tuple[int, str]
    raw: bytes
    id: uuid.UUID
    words: Json[list[int]]
    secret: Secret
    private: Private
    secrets: dict[str, list[Secret]]
    anything: Any
    text: str


ALL = Kinds(
    at=datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    clock=time(6, 30, tzinfo=UTC),
    day=date(2028, 2, 29),
    span=timedelta(days=1, microseconds=1),
    amount=Decimal("1.10"),
    number=2**200,
    number_or_words="1",
    share=0.1,
    colour=Colour.red,
    level=Level.low,
    names={"b", "a"},
    frozen=frozenset({3, 1}),
    pair=(1, "x"),
    raw=b"plain",
    id=uuid.UUID(int=7),
    words="[1, 2]",
    secret=Secret("hush"),
    private="Ada",
    secrets={"a": [Secret("one"), Secret("two")]},
    anything={"deep": [1, 2.5, None, True, "x"]},
    text="NUL \0, bell \a, \u2028, 💡, {{7*7}}",
)
KEPT = {
    "aliases made by rule, and what is computed": Camel.model_validate(
        {"firstName": "Zoë", "theInner": {"lastName": "K"}}
    ),
    "a union told apart by a field": Pets(pets=[Cat(kind="cat", lives=9), Dog(kind="dog", tricks=["sit"])]),
    "an alias for each way": Apart.model_validate({"out": "x", "read": "y"}),
    "aliases that are other fields' names": Swapped.model_validate({"a": 1, "b": 2}),
    "every kind of value": ALL,
}


class Towns(BaseModel):
    names: set[str]
    parts: dict[str, list[frozenset[str]]]


TOWNS = """
from steward.model.payload import as_sent, keep
from tests.unit.model.test_payload import Towns
towns = Towns(names=set("abcdefgh"), parts={"b": [frozenset("xyzuvw")], "a": []})
print(keep("task", Towns, towns)[0], as_sent(towns))
"""


def test_a_set_is_kept_in_one_order_whatever_process_keeps_it() -> None:
    command = [sys.executable, "-c", TOWNS]
    said = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
    assert b'{"names":["a","b","c","d","e","f","g","h"],"parts":{"b":[["u","v","w","x","y","z"]],"a":[]}}' in said.pop()


@pytest.mark.parametrize("model", KEPT.values(), ids=KEPT.keys())
def test_what_is_kept_reads_back_equal(model: BaseModel) -> None:
    text, secrets = keep("task", type(model), model)
    back = read(type(model), text, secrets)
    again, more = keep("task", type(model), back)
    assert (again, more) == (text, secrets)
    for name in type(model).model_fields:
        if name not in ("at", "the_inner"):  # one is in the hour that comes twice, one has a private attribute
            assert getattr(back, name) == getattr(model, name)
    assert "hush" not in text
    assert "one" not in text


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-Infinity"])
def test_a_decimal_that_may_be_none_is_kept_as_it_is(text: str) -> None:
    kept, secrets = keep("task", Free, Free(figure=Decimal(text)))
    assert str(read(Free, kept, secrets).figure) == text


def test_what_an_earlier_version_kept_by_alias_is_still_read() -> None:
    back = read(Camel, '{"firstName":"Zoë","theInner":{"lastName":"K"}}', [])
    assert (back.first_name, back.the_inner.last_name) == ("Zoë", "K")


class Adding(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _one_more(cls, value: int) -> int:
        return value + 1


class Breaking(BaseModel):
    number: Any

    @field_validator("number")
    @classmethod
    def _halve(cls, value: Any) -> Any:
        return str(10 / value)  # a second time it is text


class Hiding(BaseModel):
    shown: str
    hidden: str = Field("", exclude=True)
    password: SecretStr = SecretStr("")


class Writing(BaseModel):
    number: int

    @field_serializer("number")
    def _never(self, value: int) -> str:
        raise KeyError(value)


class Free(BaseModel):
    share: float = 0.0
    maybe: float | None = None
    figure: Annotated[Decimal, Field(allow_inf_nan=True)] = Decimal(0)
    data: dict[str, Any] = {}
    raw: bytes = b""
    text: str = ""
    secret: Secret | None = None
    inner: list[Inner] = []


class More(Free):
    beside: int = 1


REFUSED = {
    "infinity": (Free(share=math.inf), "share", "finite"),
    "a number too large for a float": (Free.model_validate_json('{"share": 1e400}'), "share", "finite"),
    "NaN where nothing may stand": (Free(maybe=math.nan), "maybe", "finite"),
    "infinity deep inside": (Free(data={"a": [{"b": -math.inf}]}), "data.a.0.b", "finite"),
    "half a character": (Free(text="\ud800"), "text", "half a character"),
    "half a character deep inside": (Free(data={"a": ["\udfff"]}), "data.a.0", "half a character"),
    "half a character in a secret": (Free(secret=Secret("\ud800")), "", "half a character"),
    "a set in a field of any kind": (Free(data={"a": {1}}), "data.a", "set.*list"),
    "a date in a field of any kind": (Free(data={"a": date(2026, 1, 1)}), "data.a", "date.*str"),
    "an object that JSON has no word for": (Free(data={"a": object()}), "", "written"),
    "keys that are no text": (Free(data={"a": {1: 2}}), "data.a", "another value"),
    "bytes that are no text": (Free(raw=b"\xff"), "", "written"),
    "a circle": (Free(data=(lambda d: d.setdefault("me", d) and d)({})), "", "written"),
    "a validator that changes what it has changed": (Adding(number=1), "number", "another value"),
    "a validator that fails at the second time": (Breaking(number=2), "", "read back"),
    "a field that is not written": (Hiding(shown="a", hidden="b"), "hidden", "another value"),
    "pydantic's own secret, which is written as stars": (Hiding(shown="a", password="x"), "password", "another"),
    "a serializer that fails": (Writing(number=1), "", "written"),
    "what was never validated": (Free.model_construct(share="many"), "share", "read back"),
    "a child of the model": (More(), "", "is a More, and a Free"),
}


@pytest.mark.parametrize(("model", "field", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_not_read_back_is_refused_by_field(model: BaseModel, field: str, words: str) -> None:
    kind = Free if isinstance(model, Free) else type(model)
    with pytest.raises(InvalidPayload, match=words) as refused:
        keep("task", kind, model)
    assert field in [problem.field for problem in refused.value.problems]
    assert refused.value.remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(st.characters()) | st.decimals(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_kept_is_what_the_handler_gets(value: Any) -> None:
    model = Free.model_construct(data={"value": value})
    try:
        text, secrets = keep("task", Free, model)
    except InvalidPayload as refused:
        assert refused.problems
        return
    assert read(Free, text, secrets).data == {"value": value}
    text.encode()


@given(st.floats() | st.integers() | st.text() | st.datetimes() | st.dates() | st.times() | st.timedeltas())
def test_a_declared_field_is_kept_or_refused_never_changed(value: Any) -> None:
    kind = create_model("Kind", field=(type(value), ...))
    model = kind(field=value)
    try:
        text, secrets = keep("task", kind, model)
    except InvalidPayload:
        assert isinstance(value, float) and not math.isfinite(value)
        return
    assert read(kind, text, secrets).field == value
