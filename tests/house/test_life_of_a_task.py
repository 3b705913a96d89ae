"""The picture of a task's states shows every lawful way between them, and no other."""

from __future__ import annotations

import re

from tests.house.repository import ROOT

from steward.model.states import FINAL, TRANSITIONS, State

PICTURE = (ROOT / "docs" / "pictures" / "states.svg").read_text(encoding="utf-8")


def test_every_arrow_is_a_lawful_way_and_every_lawful_way_an_arrow() -> None:
    drawn = re.findall(r'<path data-way="(\w+) (\w+)"', PICTURE)
    assert len(drawn) == len(set(drawn)) == PICTURE.count("marker-end")
    assert set(drawn) == {(before.value, after.value) for before, targets in TRANSITIONS.items() for after in targets}


def test_every_state_is_a_box_and_the_words_for_those_who_cannot_see_name_every_way() -> None:
    assert sorted(re.findall(r'text-anchor="middle" fill="#\w+">(\w+)</text>', PICTURE)) == sorted(State)
    words = PICTURE.partition('<desc id="d">')[2].partition("</desc>")[0]
    for before, targets in TRANSITIONS.items():
        if before in FINAL:
            assert re.search(rf"{before}\b.* final\.", words)
        else:
            said = words.partition(f"{before} leads to ")[2].partition(";")[0].partition(".")[0]
            assert set(re.findall(r"\w+", said)) - {"or"} == set(targets)
