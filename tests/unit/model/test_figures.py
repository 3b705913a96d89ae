"""The figures of a note: what may be one, and that each comes back from the ledger as it was."""

import json
from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward import Note, Secret
from steward.errors import TaskError
from steward.model import figures


class Kind(StrEnum):
    DUES = "dues"


GOOD = {
    "whole": (7, 7),
    "large": (10**30, 10**30),
    "broken": (0.5, 0.5),
    "money": (Decimal("10.10"), "10.10"),
    "words": ("naïve ✓", "naïve ✓"),
    "choice": (Kind.DUES, "dues"),
    "yes": (True, True),
    "nothing": (None, None),
}
BAD = {
    "a list": {"a": [1]},
    "an object": {"a": {"b": 1}},
    "bytes": {"a": b"1"},
    "a secret": {"a": Secret("https://example.org/very-secret")},
    "no number": {"a": float("nan")},
    "endless": {"a": float("inf")},
    "endless money": {"a": Decimal("Infinity")},
    "half a character": {"a": "\ud83d"},
    "a number for a name": {1: 1},
    "no name": {"": 1},
    "half a character for a name": {"\ud83d": 1},
    "a list for all": [("a", 1)],
    "text for all": "a: 1",
}
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@pytest.mark.parametrize(("given_", "kept"), GOOD.values(), ids=list(GOOD))
def test_a_figure_is_kept_as_json_has_it(given_, kept):
    text = figures.dump(figures.plain(Note("Done.", {"f": given_}).figures))
    found = figures.load(text)["f"]
    assert (found, type(found)) == (kept, type(kept))
    assert json.loads(text) == {"f": kept}


@pytest.mark.parametrize("wrong", BAD.values(), ids=list(BAD))
def test_what_cannot_be_kept_is_refused_where_the_note_is_made(wrong):
    with pytest.raises(TaskError, match="cannot be kept") as refused:
        Note("Done.", wrong)
    assert "very-secret" not in str(refused.value)


@given(st.dictionaries(st.text(min_size=1), PLAIN))
def test_figures_come_back_as_they_were(found):
    assert figures.load(figures.dump(found)) == found
    assert [name for name, _ in figures.in_words(found)] == [name.replace("_", " ") for name in found]


@given(st.lists(st.dictionaries(st.sampled_from(["a", "a (2)", "b"]), st.integers()), max_size=5))
def test_no_figure_is_lost_where_several_notes_have_one_name(several):
    together = figures.joined(several)
    assert sorted(together.values()) == sorted(value for each in several for value in each.values())


def test_secrets_are_masked_in_names_and_values():
    told = figures.joined([{"for token": "token", "n": 1}], lambda text: text.replace("token", "•"))
    assert told == {"for •": "•", "n": 1}


@pytest.mark.parametrize("kept", ["[1]", "{", '{"a": [1]}', '{"a": NaN}'])
def test_what_the_ledger_should_not_hold_is_no_figures(kept):
    with pytest.raises(ValueError, match=r"."):
        figures.load(kept)


def test_people_read_yes_no_and_none():
    assert figures.in_words({"is_whole": True, "b": False, "c": None, "d": "1.10"}) == [
        ("is whole", "yes"), ("b", "no"), ("c", "none"), ("d", "1.10"),
    ]  # fmt: skip
