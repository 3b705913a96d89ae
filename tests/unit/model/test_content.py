"""Secrets and letters."""

import pickle

import pytest
from pydantic import BaseModel, Field, ValidationError

from steward import Email, Private, Secret
from steward.model.content import MASK


class Reset(BaseModel):
    link: Secret
    other: list[Secret] = []


def test_a_secret_is_shown_masked_everywhere():
    secret = Secret("https://example.org/t/abc")
    model = Reset(link=secret)
    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        model.model_dump_json(),
        repr(model),
        str(model.model_dump()),
    ):
        assert "abc" not in shown
    assert MASK in model.model_dump_json()
    assert secret.reveal() == "https://example.org/t/abc"


def test_secrets_travel_beside_the_payload():
    texts: list[str] = []
    stored = Reset(link="one", other=["two", "three"]).model_dump_json(context={"secrets": texts})
    assert texts == ["one", "two", "three"]
    assert "one" not in stored
    back = Reset.model_validate_json(stored, context={"secrets": texts})
    assert [back.link.reveal(), *(o.reveal() for o in back.other)] == texts


@pytest.mark.parametrize("value", ["", 5, None, {"$secret": 0}, {"$secret": "x"}])
def test_what_is_no_secret_is_refused(value):
    with pytest.raises(ValidationError):
        Reset.model_validate({"link": value})


def test_a_secret_survives_the_way_to_a_child_process():
    assert pickle.loads(pickle.dumps(Secret("x"))).reveal() == "x"


def test_the_schema_says_password():
    assert Reset.model_json_schema()["properties"]["link"]["format"] == "password"


def test_each_recipient_stands_once():
    assert Email(to=["a@x.org", "b@x.org", "a@x.org"], template="t").recipients == ("a@x.org", "b@x.org")
    assert Email(to="a@x.org", template="t").recipients == ("a@x.org",)


class Greeting(BaseModel):
    name: Private = Field(min_length=2, max_length=10, title="Name")
    nick: Private | None = None
    link: Secret


def test_a_private_text_is_a_text_that_travels_beside_the_payload():
    texts: list[str] = []
    greeting = Greeting(name="Ada", nick="Countess", link="l")
    assert greeting.name == "Ada"
    assert type(greeting.name) is str
    stored = greeting.model_dump_json(context={"secrets": texts})
    assert texts == ["Ada", "Countess", "l"]
    assert "Ada" not in stored
    assert "Countess" not in stored
    assert Greeting.model_validate_json(stored, context={"secrets": texts}) == greeting
    assert Greeting(name="Ada", link="l").model_dump(context={"secrets": []})["nick"] is None


@pytest.mark.parametrize("name", ["A", "Ada Lovelace, Countess", {"$secret": 0}, 5, None])
def test_a_private_text_is_held_to_its_fields_rules(name):
    with pytest.raises(ValidationError):
        Greeting.model_validate({"name": name, "link": "l"})


def test_the_schema_of_a_private_text_is_that_of_a_text():
    schema = Greeting.model_json_schema()["properties"]["name"]
    assert schema == {"type": "string", "minLength": 2, "maxLength": 10, "title": "Name"}
