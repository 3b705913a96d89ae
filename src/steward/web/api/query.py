"""Reads query parameters and headers into options and queries; what cannot be meant is refused, not ignored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, PlainValidator, ValidationInfo, WithJsonSchema
from starlette.requests import Request

from steward.errors import FieldProblem, InvalidOption, InvalidPayload, StewardError
from steward.model.caller import Caller
from steward.model.service import Options, Query
from steward.model.states import State
from steward.storage.tasks.search import MOST
from steward.system.clock import micros
from steward.tasks.options import HIGHEST_PRIORITY, LONGEST_KEY, require_key

# In a query string "+" means a space, and whoever forgets to escape the offset's sign means "+".
_LOST_PLUS = re.compile(r"^(.*\d) (\d\d:?\d\d)$")


def only_key(request: Request, sent: str | None) -> str | None:
    """Return the idempotency key that was `sent`, or None without one.

    Raises:
        InvalidOption: there are several.
    """
    if sent is not None and len(request.headers.getlist("idempotency-key")) > 1:
        raise InvalidOption("There is more than one Idempotency-Key", "One request has one key", "Send it once")
    return sent


def key(name: str, text: str) -> str:
    """Return an idempotency key. Raises InvalidOption: it is empty, too long or not printable."""
    require_key(text)
    return text


def moment(name: str, text: str) -> datetime:
    """Return an ISO 8601 time with its zone.

    Raises:
        InvalidOption: it is not a time, or has no zone.
    """
    try:
        value = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        micros(value)
    except (ValueError, OverflowError) as error:
        raise InvalidOption(f"{name} cannot be used", str(error), "Write it like 2026-12-01T08:00:00Z") from error
    return value


def whole(name: str, text: str) -> int:
    """Return a whole number.

    Raises:
        InvalidOption: it is none.
    """
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise InvalidOption(f"{name} cannot be used", f"'{text[:40]}' is not a whole number", f"Write it like {name}=5")
    return int(text)


def limit(name: str, text: str) -> int:
    """Return how many there may be on a page. Raises InvalidOption: it is no whole number, or not from 1 to `MOST`."""
    number = whole(name, text)
    if not 1 <= number <= MOST:
        raise InvalidOption(f"The {name} {number} cannot be used", f"It goes from 1 to {MOST}")
    return number


def _read(function: Callable[[str, Any], Any]) -> PlainValidator:
    """Return the validator that reads a parameter with `function`, which is given its name and what was sent."""

    def validate(given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, (str, list)):  # a default, which an older FastAPI hands in as well
            return given
        return function(info.field_name or "", given)

    return PlainValidator(validate)


def _parts(name: str, texts: list[str]) -> list[str]:
    return [part for text in texts for part in text.split(",")]


# Each says its schema itself: a parameter that is left out is not null, as pydantic would have it.
Key = Annotated[str | None, _read(key), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_KEY})]
_Text = Annotated[str | None, WithJsonSchema({"type": "string"})]
_Time = Annotated[datetime | None, _read(moment), WithJsonSchema({"type": "string", "format": "date-time"})]
_Priority = Annotated[
    int | None,
    _read(whole),
    WithJsonSchema({"type": "integer", "minimum": -HIGHEST_PRIORITY, "maximum": HIGHEST_PRIORITY}),
]
_Limit = Annotated[int, _read(limit), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST})]
_States = Annotated[
    list[str], _read(_parts), WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(State)}})
]


class SubmissionQuery(BaseModel):
    """The query of a hand-over."""

    run_at: _Time = Field(None, description="Start then, not now.")
    expires_at: _Time = Field(None, description="Nothing is sent after this time.")
    priority: _Priority = Field(None, description="Higher goes first.")

    def options(self, key: str | None, caller: Caller) -> Options:
        """Return how a task of `caller` under `key` is to be treated."""
        return Options(key=key, expires_at=self.expires_at, priority=self.priority, run_at=self.run_at, caller=caller)


class TaskFilter(BaseModel):
    """The query of a search for tasks."""

    state: _States = Field(default_factory=list, description="May be given several times, or with commas.")
    name: _Text = Field(None, description="The handler's name.")
    recipient: _Text = Field(None, description="The whole address.")
    since: _Time = Field(None, description="Accepted then or later.")
    until: _Time = Field(None, description="Accepted before then.")
    text: _Text = Field(None, description="Part of a recipient, an id, an error or a name.")
    cursor: _Text = Field(None, description="`next_cursor` of the page before.")
    limit: _Limit = Field(50, description="Most per page.")

    def query(self, caller: Caller) -> Query:
        """Return what to look for; whoever may not operate finds only tasks of their own."""
        return Query(
            states=self.state,
            name=self.name,
            recipient=self.recipient,
            since=self.since,
            until=self.until,
            owner_id=None if caller.operates else caller.id,
            only=caller.only,
            text=self.text,
            cursor=self.cursor,
            limit=self.limit,
        )


def declared(dependant: Dependant) -> dict[str, bool]:
    """Return the query parameters that a route takes with all its dependencies; true for what may be sent often."""
    found: dict[str, bool] = {}
    for each in dependant.query_params:
        model = each.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            found |= {name: get_origin(info.annotation) is list for name, info in model.model_fields.items()}
        else:
            found[each.alias] = get_origin(model) is list
    for dependency in dependant.dependencies:
        found |= declared(dependency)
    return found


def require_known(request: Request, known: Mapping[str, bool]) -> None:
    """Return if every query parameter is one of `known` (see `declared`), has a value, and has one.

    FastAPI drops what it does not know, and takes the last of two. But `runat` must not mean "now", and no more may
    `run_at=` or the second of two times.

    Raises:
        InvalidOption: a name is not known (the nearest is offered), a value is blank, or there are two for one.
    """
    seen = set()
    for name, value in request.query_params.multi_items():
        shown = name[:40]
        if name not in known:
            near = difflib.get_close_matches(name[:80], known, n=1)
            there = ", ".join(sorted(known)) or "none"
            raise InvalidOption(
                f"There is no parameter '{shown}'",
                remedy=f"Did you mean '{near[0]}'?" if near else f"There are: {there}",
            )
        many = known[name]
        if not all(part.strip() for part in (value.split(",") if many else [value])):
            raise InvalidOption(
                f"The parameter '{shown}' has no value",
                "An empty value does not mean that none was given",
                f"Give it one, or leave '{shown}' out",
            )
        if "\0" in value:
            raise InvalidOption(
                f"The parameter '{shown}' cannot be used", "It holds the character NUL", "Send it without"
            )
        if name in seen and not many:
            raise InvalidOption(
                f"The parameter '{shown}' is given more than once", "One value is meant", f"Give '{shown}' once"
            )
        seen.add(name)


def refused(error: RequestValidationError) -> StewardError:
    """Return what is wrong with a request, in our words: nobody is answered in FastAPI's or pydantic's shape.

    Ours are within: a value that cannot be used was refused by a validator above. A header is told before the query.
    """
    for each in sorted(error.errors(), key=lambda each: each["loc"][0] != "header"):
        ours = each.get("ctx", {}).get("error")
        if isinstance(ours, StewardError):
            return ours
    return InvalidPayload(
        "The request is not valid",
        [FieldProblem(".".join(map(str, each["loc"])), str(each["msg"])) for each in error.errors()],
        "Change what is named and send it again",
    )
