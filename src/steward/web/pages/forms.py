"""Draws a form from a payload's JSON schema, and reads what was filled in back into a payload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from steward.errors import FieldProblem
from steward.model.content import MASK
from steward.system import strict_json
from steward.web.pages.wording import label

Choices = Callable[[str], list[tuple[str, str]] | None]
"""Asks the application's database for (value, label) pairs; None if it does not answer."""

_INPUTS = {"email": "email", "date": "date", "date-time": "datetime-local", "time": "time", "uri": "url"}
_WORDS = (
    ("Field required", "Please fill this in"),
    ("value is not a valid email address", "This is not an e-mail address"),
    ("Input should be a valid integer", "Write a whole number"),
    ("Input should be a valid number", "Write a number"),
    ("Input should be a valid decimal", "Write a number"),
    ("Input should be a valid datetime", "Write a day and a time"),
    ("Input should be a valid date", "Write a day"),
)
_YES_OR_NO = (("true", "Yes"), ("false", "No"))
_NUMBER = re.compile(r"[+-]?\d{1,15}")


@dataclass(frozen=True, slots=True)
class FormField:
    """One field as a form shows it.

    `kind`: text, email, date, datetime-local, time, url, password, number, checkbox, select, checks (several of
    some), lines (one value per line), long (several lines of text) or json (a nested value, written as JSON).
    `optional` fields may be left empty; others must be filled in, or have a default. What is left empty in a `nullable`
    one is said to be nothing: it has no default, or another one.
    """

    name: str
    title: str
    kind: str
    hint: str = ""
    required: bool = False
    placeholder: str = ""
    value: Any = ""
    choices: tuple[tuple[str, str], ...] = ()
    error: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    numeric: bool = False
    optional: bool = False
    nullable: bool = False
    note: str = ""


def fields(schema: Mapping[str, Any], choices: Choices = lambda statement: None) -> list[FormField]:
    """Return the fields for an object's JSON schema (as pydantic writes it), each with its default value."""
    required = set(schema.get("required", ()))
    examples = schema.get("example") or {}
    return [
        _field(name, spec, schema.get("$defs", {}), name in required, examples.get(name), choices)
        for name, spec in schema.get("properties", {}).items()
    ]


def filled(
    drawn: Sequence[FormField], values: Mapping[str, Sequence[str]], problems: Sequence[FieldProblem]
) -> list[FormField]:
    """Return `drawn` with the values kept as they were typed, and each problem beside its field."""
    said: dict[str, list[str]] = {}
    for problem in problems:
        name, _, inside = problem.field.partition(".")
        line = f"Line {int(inside) + 1}: " if inside.isdecimal() else f"{label(inside)}: " if inside else ""
        said.setdefault(name, []).append(sentence(line + in_words(problem.message)))
    kept = []
    for f in drawn:
        given = list(values.get(f.name, ()))
        value: Any = given if f.kind == "checks" else bool(given) if f.kind == "checkbox" else (given or [""])[0]
        words = list(dict.fromkeys(said.get(f.name, ())))
        kept.append(replace(f, value="" if f.kind == "password" else value, error=" ".join(words)))
    return kept


def in_words(message: str) -> str:
    """Return a validator's message as one would say it to a person; what has no better words stays."""
    return next((words for start, words in _WORDS if message.startswith(start)), message)


def sentence(text: str) -> str:
    """Return `text` with a capital at its start and a stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def elsewhere(drawn: Sequence[FormField], problems: Sequence[FieldProblem]) -> list[str]:
    """Return the problems that belong to no field of the form."""
    names = {f.name for f in drawn}
    return [str(p) for p in problems if p.field.partition(".")[0] not in names]


def payload(
    drawn: Sequence[FormField], values: Mapping[str, Sequence[str]], zone: tzinfo = UTC
) -> tuple[dict[str, Any], list[FieldProblem]]:
    """Return what was filled in as a payload; and what cannot even be read.

    What was left empty is left out, or None where that says something else (`FormField.nullable`).
    A time without a zone of its own is one of `zone`, as the form says.
    """
    result: dict[str, Any] = {}
    problems = []
    for f in drawn:
        given = [v.strip() if f.kind != "password" else v for v in values.get(f.name, ())]
        text = given[0] if given else ""
        if f.kind == "checkbox":
            result[f.name] = bool(given)
        elif f.kind == "checks":
            result[f.name] = given or (None if f.nullable else [])
        elif f.kind == "lines":
            entries = [part.strip() for part in re.split(r"[\n,;]" if f.limits.get("email") else r"\n", text)]
            if any(entries) or f.required:
                result[f.name] = [entry for entry in entries if entry]
            elif f.nullable:
                result[f.name] = None
        elif not text:
            if f.nullable:
                result[f.name] = None
            elif f.required:
                problems.append(FieldProblem(f.name, "please fill this in"))
        elif f.kind == "json":
            try:
                result[f.name] = strict_json.read(text)
            except ValueError as error:
                problems.append(FieldProblem(f.name, f"this is not JSON: {error}"))
        elif f.kind == "datetime-local" and not re.search(r"(Z|[+-]\d\d:?\d\d)$", text):
            result[f.name] = _in_zone(text, zone)
        elif f.numeric and _NUMBER.fullmatch(text):
            result[f.name] = int(text)
        else:
            result[f.name] = text.replace("\r\n", "\n")
    return result, problems


def _in_zone(text: str, zone: tzinfo) -> str:
    """Return a local time with its zone's offset; what is no time is left for the payload's model to refuse."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).isoformat()
    except ValueError:
        return text


def _field(
    name: str, spec: Mapping[str, Any], definitions: Mapping[str, Any], required: bool, example: Any, choices: Choices
) -> FormField:
    core, optional = _core(spec, definitions)
    default = None if MASK in _text(spec.get("default")) else spec.get("default")
    examples = spec.get("examples") or core.get("examples") or [example]
    kind, extra = _kind(core, definitions)
    if kind == "checkbox" and optional:  # yes, no, or nothing
        kind, extra = "select", {"choices": _YES_OR_NO}
        default = None if default is None else str(default).lower()
    note = ""
    statement = spec.get("choices_query") or core.get("choices_query")
    if statement:
        found = choices(statement)
        if found:
            kind, extra["choices"] = "select", tuple(found)
        else:
            note = "The list to choose from cannot be read just now; type the value instead."
    shown = examples[0] if examples and kind not in ("checkbox", "select", "checks", "password") else None
    return FormField(
        name=name,
        title=spec.get("title") or core.get("title") or label(name),
        kind=kind,
        hint=spec.get("description") or core.get("description", ""),
        required=required and kind != "checkbox" and not optional,
        optional=optional or not (required or default),
        nullable=optional and (required or default is not None),
        placeholder=_text(shown),
        value=default if kind in ("checkbox", "checks") else _text(default),
        note=note,
        **extra,
    )


def _core(spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Return what a schema is when references are followed and "or null" is set aside; and whether it was there."""
    if "$ref" in spec:
        found, optional = _core(definitions.get(spec["$ref"].rpartition("/")[2], {}), definitions)
        return {**found, **{k: v for k, v in spec.items() if k != "$ref"}}, optional
    if len(spec.get("allOf", ())) == 1:
        return _core({**spec["allOf"][0], **{k: v for k, v in spec.items() if k != "allOf"}}, definitions)
    options = spec.get("anyOf")
    if options:
        left = [o for o in options if o.get("type") != "null"]
        if len(left) == 1:
            return _core(left[0], definitions)[0], len(left) < len(options)
        kinds = {o.get("type") for o in left}
        if kinds <= {"number", "integer", "string"} and kinds & {"number", "integer"}:
            # How pydantic describes a Decimal: a number, or a string that looks like one.
            return next(o for o in left if o.get("type") != "string") | {"type": "number"}, len(left) < len(options)
    return spec, None in spec.get("enum", ())


def _kind(core: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if "enum" in core or "const" in core:
        values = [value for value in core.get("enum", [core.get("const")]) if value is not None]
        return "select", {"choices": tuple((str(v), label(str(v))) for v in values)}
    match core.get("type"):
        case "boolean":
            return "checkbox", {}
        case "integer":
            return "number", {"numeric": True, "limits": _limits(core) | {"step": 1}}
        case "number":
            return "number", {"numeric": True, "limits": _limits(core) | {"step": "any"}}
        case "array":
            item, _ = _core(core.get("items", {}), definitions)
            if "enum" in item:
                return "checks", {"choices": tuple((str(v), label(str(v))) for v in item["enum"])}
            if item.get("type") in ("string", "integer", "number"):
                return "lines", {"limits": {"email": item.get("format") == "email"}}
            return "json", {}
        case "string":
            if core.get("format") == "password":
                return "password", {}
            if core.get("maxLength", 0) > 200:
                return "long", {"limits": {"maxlength": core["maxLength"]}}
            limits = {"maxlength": core["maxLength"]} if "maxLength" in core else {}
            return _INPUTS.get(core.get("format", ""), "text"), {"limits": limits}
        case _:
            return "json", {}


def _limits(core: Mapping[str, Any]) -> dict[str, Any]:
    names = {"minimum": "min", "maximum": "max"}
    return {names[name]: core[name] for name in names if name in core}


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, list):
        return "\n".join(str(v) for v in value) if all(not isinstance(v, (dict, list)) for v in value) else _json(value)
    return _json(value) if isinstance(value, dict) else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
