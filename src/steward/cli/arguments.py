"""Reads a payload and times from the words of a command line: `--name Ada --formats pdf --formats csv --roster`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from steward.errors import FieldProblem, InvalidOption, InvalidPayload
from steward.system import strict_json
from steward.system.clock import micros, present

_SPAN = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def payload_of(words: Sequence[str], whole: str | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload that `words` spell field by field, over the fields of `whole` (JSON, `@file`, or `-`).

    A field that is given twice, or that the schema says is a list, becomes a list; a field without a value is true.

    Raises:
        InvalidPayload: a word is no field, or `whole` is no JSON object.
    """
    given: dict[str, list[Any]] = {}
    name = ""
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            given.setdefault(name, [])
            if equals:
                given[name].append(value)
                name = ""
        elif name:
            given[name].append(word)
            name = ""
        else:
            raise InvalidPayload(
                f"'{word[:80]}' belongs to no field",
                (),
                "Write each field as --name VALUE, and quote values with spaces",
            )
    result = _whole(whole)
    for name, values in given.items():
        result[name] = _value(values, _property(schema, name))
    return result


def moment(name: str, text: str | None, *, back: bool = False) -> datetime | None:
    """Return the time that `text` names: ISO 8601 (local time if it has no zone) or a span such as `10m`, `2h`, `7d`.

    A span is counted from now: forward, or into the past with `back`.

    Raises:
        InvalidOption: it is neither.
    """
    if text is None:
        return None
    span = _SPAN.fullmatch(text.strip())
    if span:
        away = timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        if span:
            found = present() - away if back else present() + away
        else:
            found = datetime.fromisoformat(text.strip()).astimezone()
        micros(found)
        return found
    except (ValueError, OverflowError) as error:
        raise InvalidOption(
            f"--{name} cannot be used", str(error), "Write it like 2026-12-01T08:00 or as a span: 10m, 2h, 7d"
        ) from error


def spans(*times: str | None) -> str:
    """Return what stands for `times` where one of them is a span from now: a repeat of the command means the same."""
    said = [(text or "").strip() for text in times]
    return " / ".join(said) if any(map(_SPAN.fullmatch, said)) else ""


def _whole(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        found = strict_json.read(text)
    except OSError as error:
        raise InvalidPayload("The payload cannot be read", [FieldProblem("", f"{error}")]) from error
    except ValueError as error:
        raise InvalidPayload(
            "The payload is not JSON", [FieldProblem("", str(error))], 'Example: --payload \'{"name": "Ada"}\''
        ) from error
    if not isinstance(found, dict):
        raise InvalidPayload("The payload is not a JSON object", (), 'Example: --payload \'{"name": "Ada"}\'')
    return found


def _value(values: list[Any], kinds: set[str]) -> Any:
    if not values:
        return True
    if "array" in kinds:
        if len(values) == 1 and values[0].startswith("["):
            return _read(values[0])
        return [_read(value) if value.startswith("{") else value for value in values]
    if len(values) > 1:
        return values
    if "object" in kinds and values[0].startswith("{"):
        return _read(values[0])
    if values[0] in ("null", "none", "") and "null" in kinds and "string" not in kinds:
        return None
    return values[0]


def _read(text: str) -> Any:
    try:
        return strict_json.read(text)
    except strict_json.Refused as error:
        raise InvalidPayload("A value cannot be used", [FieldProblem("", f"{text[:40]}: {error}")]) from error
    except ValueError:
        return text


def _property(schema: Mapping[str, Any], name: str) -> set[str]:
    """Return the JSON types that a field may have."""
    wanted = [schema.get("properties", {}).get(name, {})]
    kinds: set[str] = set()
    while wanted:
        each = wanted.pop()
        if isinstance(each.get("type"), str):
            kinds.add(each["type"])
        wanted += each.get("anyOf", [])
        if "$ref" in each:
            wanted.append(schema.get("$defs", {}).get(each["$ref"].rpartition("/")[2], {}))
    return kinds
