"""Reads what was handed over: which part is the payload, whether it fits its handler, and whom it is for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from steward.addresses import address, normal
from steward.errors import FieldProblem, InvalidOption, InvalidPayload, Rejected
from steward.handlers import ADDRESSED, Handler
from steward.service import Options

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
        if type(payload).__qualname__ != model.__qualname__:
            raise InvalidPayload(
                f"The payload of {handler.name} is not valid",
                [FieldProblem("", f"it is a {type(payload).__name__}, and a {model.__name__} is needed")],
            )
        payload = {name: getattr(payload, name) for name in type(payload).model_fields}
    if not isinstance(payload, Mapping):
        raise InvalidPayload(f"The payload of {handler.name} is not valid", [FieldProblem("", "it is not an object")])
    known = {field.alias or name for name, field in model.model_fields.items()} | set(model.model_fields)
    problems = [
        FieldProblem(
            str(name)[:80], "there is no such field", next(iter(difflib.get_close_matches(str(name), known)), None)
        )
        for name in payload
        if name not in known
    ]
    try:
        result = model.model_validate(dict(payload))
    except ValidationError as error:
        problems += [
            FieldProblem(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))
            for e in error.errors(include_url=False, include_input=False)
            if e["type"] != "extra_forbidden"
        ]
    if problems:
        raise InvalidPayload(f"The payload of {handler.name} is not valid", problems)
    return result


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
