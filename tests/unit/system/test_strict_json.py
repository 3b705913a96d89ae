"""Strict JSON: equal to the standard library's where both read, and refused where two readers could differ."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.system import strict_json

LONG = 1024 * 1024
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)
layouts = st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 0, 3])})

REFUSED = {
    "nothing": "",
    "blanks": " \n\t",
    "half an object": '{"a": 1',
    "single quotes": "{'a': 1}",
    "a comma too many": "[1,]",
    "two values": "{} {}",
    "NaN": "[NaN]",
    "Infinity": "[-Infinity]",
    "a number beyond a double": "[1e400]",
    "a number of 5,000 digits": f"[{'9' * 5000}]",
    "half of a pair": r'["\ud800"]',
    "the other half": r'["\udc00 "]',
    "a raw control character": '["a\x01b"]',
    "a name twice": '{"a": 1, "a": 1}',
    "a name twice, spelt in two ways": r'{"a": 1, "\u0061": 2}',
    "a name twice within": '[{"a": [{"b": 1, "c": 2, "b": 3}]}]',
    "arrays within one another": "[" * 300 + "]" * 300,
    "objects within one another": '{"a":' * 300 + "1" + "}" * 300,
    "deeper than any stack": "[" * 200_000,
}


@given(values, layouts)
def test_a_value_reads_as_it_was_written(value, layout):
    written = json.dumps(value, **layout)
    assert strict_json.read(written) == value
    assert strict_json.read(written.encode()) == value


@given(st.lists(values), layouts)
def test_an_array_read_value_by_value_is_the_array(array, layout):
    assert list(strict_json.elements(json.dumps(array, **layout).encode(), LONG)) == array


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
def test_it_does_not_matter_where_a_window_ends(piece, monkeypatch):
    monkeypatch.setattr(strict_json, "_PIECE", piece)
    array = [12345, -1.5e3, True, None, "Zoë 🎉 \\", {"näme": ["a", {}]}, [], "x" * 300]
    for layout in ({"ensure_ascii": False}, {"ensure_ascii": True, "indent": 2}):
        assert list(strict_json.elements(json.dumps(array, **layout).encode(), LONG)) == array


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_not_strict_is_refused_alone_and_in_an_array(text):
    with pytest.raises(ValueError, match=r"\w"):
        strict_json.read(text)
    with pytest.raises(ValueError, match=r"\w"):
        list(strict_json.elements(f"[1, {text}]".encode(), LONG))


def test_bytes_that_are_not_utf_8_are_refused_with_their_place():
    with pytest.raises(ValueError, match="byte 4"):
        strict_json.read(b'["a\xff"]')
    with pytest.raises(ValueError, match="UTF-8"):
        list(strict_json.elements(b'[1, "a\xff"]', LONG))


def test_what_is_as_deep_as_allowed_is_read():
    assert strict_json.read("[" * 200 + "]" * 200)
    assert strict_json.read(json.dumps("[" * 300)) == "[" * 300


def test_values_are_given_before_what_follows_is_looked_at():
    reading = strict_json.elements(b'[{"a": 1}, {"b": 2}, nonsense', LONG)
    assert [next(reading), next(reading)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(ValueError, match="element 2"):
        next(reading)


@pytest.mark.parametrize("text", ["{}", '"a"', "1", ""])
def test_what_is_no_array_is_told_apart(text):
    with pytest.raises(strict_json.NotAnArray):
        next(strict_json.elements(text.encode(), LONG))


def test_an_element_longer_than_allowed_is_refused_without_reading_it_all():
    with pytest.raises(strict_json.TooLong, match="element 1"):
        list(strict_json.elements(b'[1, "' + b"a" * 3_000_000 + b'"]', LONG))
