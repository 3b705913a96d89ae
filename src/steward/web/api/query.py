"""Reads query parameters and headers into options and queries; what cannot be meant is refused, not ignored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request

from steward.errors import InvalidOption
from steward.model.caller import Caller
from steward.model.service import Options, Query
from steward.storage.tasks.search import MOST
from steward.system.clock import micros
from steward.tasks.options import require_key

# In a query string "+" means a space, and whoever forgets to escape the offset's sign means "+".
_LOST_PLUS = re.compile(r"^(.*\d) (\d\d:?\d\d)$")
KEY = "idempotency-key"


def options(request: Request, caller: Caller) -> Options:
    """Return the options of a submission.

    Raises:
        InvalidOption: a value cannot be used.
    """
    query = request.query_params
    return Options(
        key=key(request),
        expires_at=moment("expires_at", query.get("expires_at")),
        priority=whole("priority", query.get("priority")),
        run_at=moment("run_at", query.get("run_at")),
        caller=caller,
    )


def key(request: Request) -> str | None:
    """Return the idempotency key, or None without one.

    Raises:
        InvalidOption: it is empty, too long or not printable, or there are several.
    """
    given = request.headers.getlist(KEY)
    if len(given) > 1:
        raise InvalidOption("There is more than one Idempotency-Key", "One request has one key", "Send it once")
    found = given[0] if given else None
    require_key(found)
    return found


def query(request: Request, caller: Caller) -> Query:
    """Return what to look for; whoever may not operate finds only tasks of their own. Raises as `options`."""
    given = request.query_params
    limit = whole("limit", given.get("limit"))
    if limit is not None and not 1 <= limit <= MOST:
        raise InvalidOption(f"The limit {limit} cannot be used", f"It goes from 1 to {MOST}")
    return Query(
        states=[state for text in given.getlist("state") for state in text.split(",")],
        name=given.get("name"),
        recipient=given.get("recipient"),
        since=moment("since", given.get("since")),
        until=moment("until", given.get("until")),
        owner_id=None if caller.operates else caller.id,
        only=caller.only,
        text=given.get("text"),
        cursor=given.get("cursor"),
        limit=50 if limit is None else limit,
    )


def moment(name: str, text: str | None) -> datetime | None:
    """Return an ISO 8601 time with its zone, or None for none.

    Raises:
        InvalidOption: it is not a time, or has no zone.
    """
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        micros(value)
    except (ValueError, OverflowError) as error:
        raise InvalidOption(f"{name} cannot be used", str(error), "Write it like 2026-12-01T08:00:00Z") from error
    return value


def whole(name: str, text: str | None) -> int | None:
    """Return a whole number, or None for none.

    Raises:
        InvalidOption: it is none.
    """
    if text is None:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise InvalidOption(f"{name} cannot be used", f"'{text[:40]}' is not a whole number", f"Write it like {name}=5")
    return int(text)


def require_declared(request: Request) -> None:
    """Return if every query parameter is one that the route declares (in the OpenAPI document), and has a value.

    Raises:
        InvalidOption: as `require_known`.
    """
    route = request.scope.get("route")
    if isinstance(route, APIRoute):
        declared = (route.openapi_extra or {}).get("parameters", ())
        require_known(request, {each["name"]: each for each in declared if each["in"] == "query"})


def require_known(request: Request, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Return if every query parameter is one of `known` (each as OpenAPI describes it), has a value, and has one.

    `runat` must not mean "now", and no more may `run_at=` or the first of two times.

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
        many = known[name]["schema"].get("type") == "array"
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
