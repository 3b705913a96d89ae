"""The figures of a note: what they may be, how they are kept as JSON, and how people see them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from steward.errors import TaskError

Figure = int | float | str | bool | None
"""What a figure is once it is kept."""


def plain(figures: Mapping[str, Any]) -> dict[str, Figure]:
    """Return `figures` as JSON has them: a decimal as text, exact to its last digit; anything else as it is.

    Raises:
        TaskError: a name is no text, or a value is none that JSON (RFC 8259) knows; the words name it.
    """
    if not isinstance(figures, Mapping):
        raise _refused("The figures of a note", f"they are {_kind(figures)}, not names with a value each")
    return {_name(name): _value(name, value) for name, value in figures.items()}


def joined(several: Iterable[Mapping[str, Any]], mask: Callable[[str], str] = str) -> dict[str, Figure]:
    """Return the figures of several notes as those of one; an equal name gets a number. `mask` is put over all text."""
    found: dict[str, Figure] = {}
    for figures in several:
        for name, value in plain(figures).items():
            shown, unique, n = mask(name), mask(name), 2
            while unique in found:
                unique, n = f"{shown} ({n})", n + 1
            found[unique] = mask(value) if isinstance(value, str) else value
    return found


def dump(figures: Mapping[str, Figure]) -> str | None:
    """Return `figures` as the ledger keeps them, or None if there are none."""
    return json.dumps(figures, ensure_ascii=False, allow_nan=False) if figures else None


def load(text: str | None) -> dict[str, Figure]:
    """Return the figures that the ledger keeps as `text`.

    Raises:
        ValueError: it is no JSON object of plain values.
    """
    found = {} if text is None else json.loads(text)
    try:
        return plain(found)
    except TaskError as error:
        raise ValueError(str(error)) from error


def in_words(figures: Mapping[str, Figure]) -> list[tuple[str, str]]:
    """Return each figure's name and value for people."""
    words = {True: "yes", False: "no", None: "none"}
    return [
        (name.replace("_", " "), words[value] if value is None or isinstance(value, bool) else str(value))
        for name, value in figures.items()
    ]


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name or not _is_text(name):
        raise _refused("The name of a figure", f"{name!r:.80} is none")
    return str(name)


def _value(name: str, value: Any) -> Figure:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        raise _refused(f"The figure '{name[:80]}'", f"{value} is not a finite number, and JSON has no other")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and not _is_text(value):
        raise _refused(f"The figure '{name[:80]}'", "it holds half a character (a lone surrogate), which is no text")
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise _refused(f"The figure '{name[:80]}'", f"it is {_kind(value)}")


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}"


def _refused(what: str, why: str) -> TaskError:
    remedy = "A figure has a name and is a number, a decimal, text, true, false or none; give its parts, or its words"
    return TaskError(f"{what} cannot be kept", why, remedy)
