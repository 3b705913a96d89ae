"""Reads what was handed over: which part is the payload, whether it fits its handler, and whom it is for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from pydantic import AliasChoices, AliasPath, BaseModel, ValidationError

from steward.errors import FieldProblem, InvalidOption, InvalidPayload, Rejected
from steward.model.declaration.handler import ADDRESSED, Handler
from steward.model.email_address import address, normal
from steward.model.payload import read, write
from steward.model.service import Options

Model = TypeVar("Model", bound=BaseModel)

MOST_PROBLEMS = 100
"""More than this are counted, not named: looking for them is work that whoever errs has not paid for."""
MOST_LISTED = 1_000
MOST_KEPT = 20
LONGEST_NAME = 80
LONGEST_WORDS = 500
_NO_FIELD = "there is no such field"
OPTIONS = ("key", "expires_at", "priority", "requested_by")


def validated(handler: Handler, payload: Any) -> BaseModel:
    """Return `payload` (the model, or a mapping) as the handler's model.

    Raises:
        InvalidPayload: each problem names its field, and the nearest field for a name that does not exist.
    """
    model = handler.payload
    if isinstance(payload, model):
        return payload
    if isinstance(payload, BaseModel):
        return _of_another_import(handler, payload)
    return as_model(model, payload, f"The payload of {handler.name} is not valid")


def as_model(model: type[Model], payload: Any, what: str) -> Model:
    """Return `payload`, a mapping, as a `model`.

    Raises:
        InvalidPayload: with `what`, and as `validated`. No more than `MOST_PROBLEMS` are named.
    """
    if not isinstance(payload, Mapping):
        raise InvalidPayload(what, [FieldProblem("", "it is not an object")])
    names = _names_of(model)
    known = names.known
    strange = [] if names.takes_any else [str(name)[:LONGEST_NAME] for name in payload if name not in known]
    problems = [FieldProblem(name, _NO_FIELD, nearest(name, known)) for name in strange[:MOST_PROBLEMS]]
    twice = [each for each, name in names.aliased.items() if each in payload and name in payload]
    problems += [FieldProblem(each, f"it is given twice, also as {names.aliased[each]}") for each in twice]
    count, result = len(strange) + len(twice), None
    try:
        given = {name: payload[name] for name in payload if names.takes_any or name in known}
        result = model.model_validate(given, by_alias=True, by_name=names.by_name)
    except ValidationError as error:
        problems += _listed(error, model, given)
        count += error.error_count()
    if problems or result is None:
        listed = problems[:MOST_PROBLEMS]
        raise InvalidPayload(what, listed, more=count - len(listed) if len(listed) == MOST_PROBLEMS else 0)
    return result


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the one of `known` that is most like `name`, if any is. `name` is no longer than `LONGEST_NAME`."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _listed(error: ValidationError, model: type[BaseModel], given: Mapping[str, Any]) -> list[FieldProblem]:
    """Return what is wrong; where very much is wrong, the first of it.

    Pydantic lists its errors all or not at all, and one body can hold a million: these are looked for once more in
    the beginning of each list.
    """
    count, left_out = error.error_count(), ""
    if count > MOST_LISTED:
        left_out = "too_short"  # of what was shortened here
        try:
            shortened = {name: _shortened(value) for name, value in given.items()}
            model.model_validate(shortened, by_alias=True, by_name=_names_of(model).by_name)
            return [FieldProblem("", f"{count:,} values in it are not valid")]
        except ValidationError as shorter:
            if shorter.error_count() > MOST_LISTED:
                return [FieldProblem("", f"{count:,} values in it are not valid")]
            error = shorter
    found = [
        FieldProblem(
            ".".join(str(step)[:LONGEST_NAME] for step in e["loc"]),
            _NO_FIELD if e["type"] == "extra_forbidden" else e["msg"].removeprefix("Value error, ")[:LONGEST_WORDS],
        )
        for e in error.errors(include_url=False, include_input=False, include_context=False)
        if e["type"] != left_out
    ]
    return found or [FieldProblem("", f"{count:,} values in it are not valid")]


def _shortened(value: Any) -> Any:
    """Return `value` with the beginning of each list and mapping only; places stay what they were."""
    if isinstance(value, Mapping):
        return {name: _shortened(each) for name, each in islice(value.items(), MOST_KEPT)}
    return [_shortened(each) for each in value[:MOST_KEPT]] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True, slots=True)
class _Names:
    """How a model's fields may be called: by their aliases, and by their own names where that is plain."""

    known: frozenset[str]
    aliased: Mapping[str, str]
    by_name: bool
    takes_any: bool


@lru_cache(maxsize=1024)
def _names_of(model: type[BaseModel]) -> _Names:
    known, aliased = set(model.model_fields), {}
    for name, field in model.model_fields.items():
        given = field.validation_alias if field.validation_alias is not None else field.alias
        for each in given.choices if isinstance(given, AliasChoices) else [given]:
            if isinstance(each, AliasPath):
                known.add(str(each.path[0]))
            elif isinstance(each, str) and each != name:
                known.add(each)
                aliased[each] = name
    # An alias that is another field's name says which of the two is meant: then names of fields are not taken.
    by_name = not any(alias in model.model_fields for alias in aliased)
    return _Names(frozenset(known), aliased if by_name else {}, by_name, model.model_config.get("extra") == "allow")


def _of_another_import(handler: Handler, payload: BaseModel) -> BaseModel:
    """Return `payload`, whose class is the handler's as another import made it, as the handler's own."""
    model = handler.payload
    if type(payload).__qualname__ != model.__qualname__:
        words = f"it is a {type(payload).__name__}, and a {model.__name__} is needed"
        raise InvalidPayload(f"The payload of {handler.name} is not valid", [FieldProblem("", words)])
    secrets: list[str] = []
    text = write(payload, secrets)
    try:
        return read(model, text, secrets)
    except ValidationError as error:
        found = _listed(error, model, vars(payload))
        raise InvalidPayload(f"The payload of {handler.name} is not valid", found) from error


def arguments(handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Options]:
    """Return the payload and the options of a call to `enqueue` or `schedule`; the options are taken out of `kwargs`.

    Raises:
        InvalidPayload, InvalidOption: it is not clear which is which.
    """
    fields = handler.payload.model_fields
    if len(args) > 1:
        raise InvalidPayload(
            f"{handler.name} takes one payload",
            [FieldProblem("", f"{len(args)} positional arguments were given")],
            "Pass one payload object, or its fields by keyword",
        )
    both = sorted(name for name in OPTIONS if name in kwargs and name in fields)
    if both and not args:
        raise InvalidOption(
            f"'{both[0]}' is an option and also a field of {handler.name}",
            remedy="Pass the payload as one object; the keyword is then the option",
        )
    options = Options(**{name: kwargs.pop(name) for name in OPTIONS if name in kwargs})
    if not args:
        return kwargs, options
    if kwargs:
        raise InvalidPayload(
            f"{handler.name} was given its payload twice",
            [FieldProblem(name, "it stands beside a whole payload") for name in kwargs],
        )
    return args[0], options


def recipient(model: BaseModel) -> str | None:
    """Return the address to find the task by before it has run: the first field that is named and shaped like one.

    Raises:
        InvalidPayload: no mail server can be given it (its local part is not ASCII). Better said now than after a 202.
    """
    for name in ADDRESSED:
        value = getattr(model, name, None)
        if isinstance(value, (list, tuple)) and value:
            value = value[0]
        if isinstance(value, str) and "@" in value:
            if not value.isascii():
                try:
                    address(value)
                except Rejected as error:
                    raise InvalidPayload("The payload is not valid", [FieldProblem(name, error.why)]) from error
            return normal(value)[:320]
    return None
