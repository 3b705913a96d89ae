"""The tree of errors that the docstring draws is the tree that there is."""

from __future__ import annotations

import builtins
import re

from steward import errors

LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: \((?P<builtin>\w+)\))?(?:\s{2,}(?P<note>.*))?$")


def drawn() -> dict[str, tuple[str, str | None]]:
    """Return for each error in the docstring its parent and the builtin that it resembles."""
    found: dict[str, tuple[str, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines()[2:]:
        match = LINE.match(line)
        if match is None:
            continue
        depth = len(match["branch"]) // 4
        path = [*path[:depth], match["name"]]
        found[match["name"]] = (path[-2] if depth else "", match["builtin"])
        below = re.search(r"with (\w+) below it", match["note"] or "")
        if below:
            found[below[1]] = (match["name"], None)
    return found


def test_the_drawing_is_true() -> None:
    real: dict[str, tuple[str, str | None]] = {}
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, errors.StewardError):
            own = [base.__name__ for base in each.__bases__ if issubclass(base, errors.StewardError)]
            resembled = [base.__name__ for base in each.__bases__ if hasattr(builtins, base.__name__)]
            root = each is errors.StewardError
            real[each.__name__] = ("" if root else own[0], None if root or not resembled else resembled[0])
    assert drawn() == real


def test_every_error_has_a_kind_of_its_own() -> None:
    kinds = [e.kind for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.StewardError)]
    assert len(set(kinds)) == len(kinds)
