"""The words of a command line become a payload, and times are read as a person writes them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from steward.cli import arguments
from steward.errors import InvalidOption, InvalidPayload
from steward.system import clock

SCHEMA = {
    "properties": {
        "name": {"type": "string"},
        "formats": {"type": "array", "items": {"type": "string"}},
        "recipients": {"anyOf": [{"type": "array"}, {"type": "null"}]},
        "roster": {"type": "boolean"},
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "place": {"$ref": "#/$defs/Place"},
        "nickname": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "$defs": {"Place": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        (["--name", "Ada Lovelace"], {"name": "Ada Lovelace"}),
        (["--name=--x=y"], {"name": "--x=y"}),
        (["--formats", "pdf"], {"formats": ["pdf"]}),
        (["--formats", "pdf", "--formats", "csv"], {"formats": ["pdf", "csv"]}),
        (["--formats", '["pdf", "csv"]'], {"formats": ["pdf", "csv"]}),
        (["--recipients", "a@example.org"], {"recipients": ["a@example.org"]}),
        (["--roster", "--name", "Ada"], {"roster": True, "name": "Ada"}),
        (["--size", "null"], {"size": None}),
        (["--nickname", "null"], {"nickname": "null"}),
        (["--place", '{"town": "Riverton"}'], {"place": {"town": "Riverton"}}),
        (["--name", '{"not": "parsed"}'], {"name": '{"not": "parsed"}'}),
        (["--not-known", "1"], {"not_known": "1"}),
    ],
)
def test_fields_are_read_as_their_schema_says(words, payload):
    assert arguments.payload_of(words, None, SCHEMA) == payload


def test_a_word_that_belongs_to_no_field_is_refused():
    with pytest.raises(InvalidPayload, match="'Lovelace' belongs to no field"):
        arguments.payload_of(["--name", "Ada", "Lovelace"], None, SCHEMA)


def test_a_whole_payload_comes_from_the_line_a_file_or_standard_input(tmp_path, monkeypatch):
    whole = '{"name": "Ada", "size": 3}'
    path = tmp_path / "payload.json"
    path.write_text(whole)
    monkeypatch.setattr("sys.stdin", io.StringIO(whole))
    for given in (whole, f"@{path}", "-"):
        assert arguments.payload_of(["--size", "4"], given, SCHEMA) == {"name": "Ada", "size": "4"}


@pytest.mark.parametrize("given", ["[1]", "{", "@nowhere.json", "name=Ada"])
def test_what_is_no_payload_is_refused_in_words(given):
    with pytest.raises(InvalidPayload) as refused:
        arguments.payload_of([], given, SCHEMA)
    assert refused.value.what.startswith("The payload")


def test_a_span_counts_from_now_in_either_direction():
    before = clock.present()
    forward, back = arguments.moment("run-at", "2h"), arguments.moment("since", "7d", back=True)
    assert timedelta(0) <= forward - before - timedelta(hours=2) < timedelta(seconds=5)
    assert timedelta(0) <= back - before + timedelta(days=7) < timedelta(seconds=5)


def test_a_time_without_a_zone_is_the_reader_s_own():
    assert arguments.moment("run-at", "2026-12-01T08:00") == datetime(2026, 12, 1, 8).astimezone()
    assert arguments.moment("run-at", "2026-12-01T08:00:00Z") == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert arguments.moment("run-at", None) is None


def test_what_is_no_time_is_refused_with_an_example():
    with pytest.raises(InvalidOption, match="--run-at cannot be used"):
        arguments.moment("run-at", "soon")


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_time_is_not_now(text):
    with pytest.raises(InvalidOption, match="--run-at cannot be used"):
        arguments.moment("run-at", text)
