"""Reads query parameters and headers into options and queries; a name that does not exist is refused, not ignored."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import datetime

from starlette.requests import Request

from steward.callers import Caller
from steward.clock import micros
from steward.errors import InvalidOption
from steward.ledger.search import MOST
from steward.service import Options, Query

SUBMISSION = ("run_at", "expires_at", "priority")
SEARCH = ("state", "name", "recipient", "since", "until", "text", "cursor", "limit")

# In a query string "+" means a space, and whoever forgets to escape the offset's sign means "+".
_LOST_PLUS = re.compile(r"^(.*\d) (\d\d:?\d\d)$")


def options(request: Request, caller: Caller) -> Options:
    """Return the options of a submission.

    Raises:
        InvalidOption: a parameter is unknown, or its value cannot be used.
    """
    refuse_unknown(request, SUBMISSION)
    query = request.query_params
    return Options(
        key=request.headers.get("idempotency-key"),
        expires_at=moment("expires_at", query.get("expires_at")),
        priority=whole("priority", query.get("priority")),
        run_at=moment("run_at", query.get("run_at")),
        caller=caller,
    )


def query(request: Request, caller: Caller) -> Query:
    """Return what to look for; whoever may not operate finds only tasks of their own. Raises as `options`."""
    refuse_unknown(request, SEARCH)
    given = request.query_params
    limit = whole("limit", given.get("limit"))
    if limit is not None and not 1 <= limit <= MOST:
        raise InvalidOption(f"The limit {limit} cannot be used", f"It goes from 1 to {MOST}")
    return Query(
        states=[s for text in given.getlist("state") for s in text.split(",") if s],
        name=given.get("name") or None,
        recipient=given.get("recipient") or None,
        since=moment("since", given.get("since")),
        until=moment("until", given.get("until")),
        owner_id=None if caller.operates else caller.id,
        only=caller.only,
        text=given.get("text") or None,
        cursor=given.get("cursor") or None,
        limit=50 if limit is None else limit,
    )


def moment(name: str, text: str | None) -> datetime | None:
    """Return an ISO 8601 time with its zone, or None for none.

    Raises:
        InvalidOption: it is not a time, or has no zone.
    """
    if not text:
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
    if text is None or text == "":
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise InvalidOption(f"{name} cannot be used", f"'{text[:40]}' is not a whole number")
    return int(text)


def refuse_unknown(request: Request, known: Iterable[str]) -> None:
    """Return if every parameter is one of `known`: `runat` must not mean "now".

    Raises:
        InvalidOption: one is not; the nearest name is offered.
    """
    names = sorted(known)
    for name in request.query_params:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise InvalidOption(
                f"There is no parameter '{name[:40]}'",
                remedy=f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(names) or 'none'}",
            )
