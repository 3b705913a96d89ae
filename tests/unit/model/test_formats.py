"""How figures are written for people."""

from __future__ import annotations

import pytest

from steward.model.formats import counted


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("task",), "0 tasks"),
        (1, ("task",), "1 task"),
        (4200, ("task",), "4,200 tasks"),
        (1, ("task waits", "tasks wait"), "1 task waits"),
        (2, ("task waits", "tasks wait"), "2 tasks wait"),
    ],
)
def test_one_is_not_several(count: int, words: tuple[str, ...], said: str) -> None:
    assert counted(count, *words) == said
