"""A payload as the ledger keeps it: JSON by the fields' own names, which reads back equal or is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, RootModel, ValidationError
from pydantic.fields import FieldInfo

from steward.errors import FieldProblem, InvalidPayload

M = TypeVar("M", bound=BaseModel)
MOST_NAMED = 20
DEEPEST = 100


def keep(name: str, kind: type[BaseModel], model: BaseModel) -> tuple[str, list[str]]:
    """Return `model`, a payload of the task `name`, as it is kept, and the texts of its secrets, which are kept apart.

    It has been read back as `kind`, and is equal: what the handler will be given is what was asked.

    Raises:
        InvalidPayload: it cannot be written, or would be read back as something else; each field is named.
    """
    secrets: list[str] = []
    text = write(model, secrets)
    try:
        "".join(secrets).encode()
    except UnicodeEncodeError as error:
        problems = list(_unwritable(model)) or [FieldProblem("", "a secret in it holds half a character")]
        raise _refused(name, problems) from error
    try:
        back = read(kind, text, secrets)
    except ValidationError as error:
        problems = list(_unwritable(model)) or [
            FieldProblem(
                ".".join(map(str, e["loc"])), f"it cannot be read back: {e['msg'].removeprefix('Value error, ')}"
            )
            for e in error.errors(include_url=False, include_input=False)[:MOST_NAMED]
        ]
        raise _refused(name, problems) from error
    except Exception as error:  # a plugin's own validator raises whatever it likes
        raise _refused(name, [FieldProblem("", f"it cannot be read back ({type(error).__name__})")]) from error
    asked, found = _parts(model), _parts(back)
    if not _equal(asked, found):
        if asked.keys() != found.keys():
            problems = [FieldProblem("", f"it is a {type(model).__name__}, and a {kind.__name__} is kept")]
        else:
            problems = list(_unlike(asked, found))
        if problems:
            raise _refused(name, list(_unwritable(model)) or problems[:MOST_NAMED])
    return text, secrets


def write(model: BaseModel, secrets: list[str]) -> str:
    """Return `model` as JSON by its fields' own names, without what is computed; secrets are added to `secrets`.

    Raises:
        InvalidPayload: something in it has no form in JSON.
    """
    try:
        text = model.model_dump_json(by_alias=False, round_trip=True, warnings="none", context={"secrets": secrets})
    except Exception as error:  # a plugin's own serializer raises whatever it likes
        problems = list(_unwritable(model)) or [FieldProblem("", f"it cannot be written as JSON: {str(error)[:200]}")]
        raise _refused(type(model).__name__, problems) from error
    if not _has_sets(type(model)):
        return text
    # A set comes in another order in each process, and an idempotency key is compared by the text.
    return json.dumps(_in_order(model, json.loads(text)), ensure_ascii=False, separators=(",", ":"))


@cache
def _has_sets(kind: type[BaseModel]) -> bool:
    try:
        return '"uniqueItems": true' in json.dumps(kind.model_json_schema(mode="serialization"), default=str)
    except Exception:  # a type of a plugin's own that has no schema
        return True


def _in_order(value: Any, plain: Any) -> Any:
    """Return `plain`, which is `value` by the names of its parts, with the members of every set in one order."""
    if isinstance(value, (set, frozenset)) and isinstance(plain, list):
        return sorted(plain, key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(value, RootModel):
        return _in_order(value.root, plain)
    if isinstance(value, BaseModel) and isinstance(plain, dict):
        parts = _parts(value)
        return {name: _in_order(parts.get(name), each) for name, each in plain.items()}
    if isinstance(value, Mapping) and isinstance(plain, dict) and len(value) == len(plain):
        return {name: _in_order(mine, each) for mine, (name, each) in zip(value.values(), plain.items(), strict=True)}
    if isinstance(value, (list, tuple)) and isinstance(plain, list) and len(value) == len(plain):
        return [_in_order(mine, each) for mine, each in zip(value, plain, strict=True)]
    return plain


def as_sent(model: BaseModel) -> Any:
    """Return `model` as the JSON values that one would send, with its secrets told: for examples, which are public."""
    plain = model.model_dump(mode="json", by_alias=False, round_trip=True, warnings="none", context={"clear": True})
    return _by_names_to_read(model, _in_order(model, plain))


def _by_names_to_read(value: Any, plain: Any) -> Any:
    """Return `plain`, which is `value` by its fields' own names, by the names that fields are read by."""
    if isinstance(value, RootModel):
        return _by_names_to_read(value.root, plain)
    if isinstance(value, BaseModel) and isinstance(plain, dict):
        fields, parts = type(value).model_fields, _parts(value)
        return {
            _name_to_read(fields[name], name) if name in fields else name: _by_names_to_read(parts.get(name), each)
            for name, each in plain.items()
        }
    if isinstance(value, Mapping) and isinstance(plain, dict) and len(value) == len(plain):
        return {
            name: _by_names_to_read(mine, each)
            for mine, (name, each) in zip(value.values(), plain.items(), strict=True)
        }
    if isinstance(value, (list, tuple)) and isinstance(plain, list) and len(value) == len(plain):
        return [_by_names_to_read(mine, each) for mine, each in zip(value, plain, strict=True)]
    return plain


def _name_to_read(field: FieldInfo, name: str) -> str:
    given = field.validation_alias if field.validation_alias is not None else field.alias
    first = given.choices[0] if isinstance(given, AliasChoices) else given
    return first if isinstance(first, str) else name


def read(kind: type[M], text: str, secrets: list[str]) -> M:
    """Return the payload that was kept as `text`, with the texts of its secrets.

    Raises:
        ValidationError: it does not fit `kind`.
    """
    context = {"secrets": secrets}
    try:
        return kind.model_validate_json(text, context=context, by_alias=False, by_name=True)
    except ValidationError:
        try:  # what an earlier version kept has the names of `serialize_by_alias`
            return kind.model_validate_json(text, context=context, by_alias=True, by_name=True)
        except ValidationError:
            pass
        raise


def _refused(name: str, problems: list[FieldProblem]) -> InvalidPayload:
    return InvalidPayload(
        f"The payload of {name} cannot be kept",
        problems,
        "What is accepted must be read back equal: change the value, or mend the payload's model",
    )


def _equal(asked: Any, found: Any) -> bool:
    try:
        return bool(asked == found)
    except Exception:  # a signalling NaN, or an __eq__ of a plugin's own
        return False


def _parts(model: BaseModel) -> dict[str, Any]:
    return vars(model) | model.__pydantic_extra__ if model.__pydantic_extra__ else vars(model)


def _unlike(asked: Any, found: Any, place: str = "", depth: int = 0) -> Iterator[FieldProblem]:
    """Yield where two values differ. What belongs to no field (private attributes) does not count."""
    if _equal(asked, found) and not isinstance(asked, bool) ^ isinstance(found, bool):
        return
    if type(asked) is type(found) and depth < DEEPEST:
        if isinstance(asked, BaseModel):
            yield from _unlike(_parts(asked), _parts(found), place, depth + 1)
            return
        if isinstance(asked, Mapping) and asked.keys() == found.keys():
            for key, value in asked.items():
                yield from _unlike(value, found[key], f"{place}.{key}" if place else str(key), depth + 1)
            return
        if isinstance(asked, (list, tuple)) and len(asked) == len(found):
            for n, (mine, other) in enumerate(zip(asked, found, strict=True)):
                yield from _unlike(mine, other, f"{place}.{n}" if place else str(n), depth + 1)
            return
        # Two times in the hour that comes twice are never equal across zones (PEP 495), and NaN not even to itself.
        if isinstance(asked, (datetime, time)) and asked.isoformat() == found.isoformat():
            return
        if isinstance(asked, (float, Decimal)) and repr(asked) == repr(found):
            return
        if "__eq__" not in {name for each in type(asked).__mro__[:-1] for name in vars(each)}:  # its identity
            yield from _unlike(getattr(asked, "__dict__", 0), getattr(found, "__dict__", 1), place, depth + 1)
            return
        yield FieldProblem(place, "it would be read back as another value")
    else:
        was, is_ = type(asked).__name__, type(found).__name__
        yield FieldProblem(place, f"it is of type {was}, and would be read back as {is_}")


def _unwritable(value: Any, place: str = "", depth: int = 0) -> Iterator[FieldProblem]:
    """Yield what has no form in JSON (RFC 8259): figures that are not finite, text with half a character."""
    if (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, Decimal) and not value.is_finite()
    ):
        yield FieldProblem(place, "it is not a finite number, and JSON has no other")
    elif isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        yield FieldProblem(place, "it holds half a character (a lone surrogate), which is no text")
    elif depth < DEEPEST:
        if isinstance(value, BaseModel):
            value = _parts(value)
        if isinstance(value, Mapping):
            for key, each in value.items():
                yield from _unwritable(each, f"{place}.{key}" if place else str(key), depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for n, each in enumerate(value):
                yield from _unwritable(each, f"{place}.{n}" if place else str(n), depth + 1)
