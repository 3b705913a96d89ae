"""Writes docs/settings.md from the class Settings; with --check only says whether it is up to date."""

from __future__ import annotations

import sys
import types
import typing
from pathlib import Path

from pydantic_core import PydanticUndefined

from steward.installation.settings import PlannedSchedule, Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

HEAD = """\
# Settings

Each is an environment variable, or a line `NAME=value` in a settings file; the variable
wins. They are read and checked once, at the start: a value that cannot be used stops the program and is named with
the reason. A name that begins with `STEWARD_` and that no setting has is told, with the nearest that there is, and
ignored. Every other line of the file goes to plugins: into the environment of the process that reads it and of those
that it starts, unless the environment has that name. See [settings of a plugin](plugins.md#settings-of-a-plugin).

This page is made from `src/steward/installation/settings.py` by `make docs`.

| variable | values | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_line(name) for name in Settings.model_fields)


def _line(name: str) -> str:
    field = Settings.model_fields[name]
    default = field.default
    if default is PydanticUndefined:
        shown = "required"
    elif default is None or default in ("", ()):
        shown = "empty"
    else:
        shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
    limits = [
        f"{sign} {getattr(rule, attribute)}"
        for rule in field.metadata
        for attribute, sign in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
        if getattr(rule, attribute, None) is not None
    ]
    values = ", ".join([_values(field.annotation), *limits])
    return f"| `STEWARD_{name.upper()}` | {values} | {shown} | {field.description} |\n"


def _values(kind: object) -> str:
    origin = typing.get_origin(kind)
    parts = [part for part in typing.get_args(kind) if part not in (type(None), ...)]
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_values, parts))
    if origin in (tuple, list) and parts == [PlannedSchedule]:
        return "JSON"
    if origin in (tuple, list):
        return f"list of {_values(parts[0])}s, for example `[30, 120]`"
    words = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number", Path: "path"}
    return words[typing.cast(type, kind)]


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write("docs/settings.md is not up to date. Type: make docs\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
