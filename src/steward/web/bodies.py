"""Reads request bodies within limits: one JSON value, or the fields of a form."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json
from starlette.requests import Request

from steward.web.problems import BodyTooLarge, MalformedBody, WrongMediaType

SINGLE = 1024 * 1024
BULK = 64 * 1024 * 1024
FORM = 512 * 1024
MOST_FIELDS = 500


async def read_json(request: Request, limit: int = SINGLE) -> Any:
    """Return the body's JSON value (RFC 8259; no NaN, no lone surrogates).

    Raises:
        WrongMediaType: the body says that it is something else.
        BodyTooLarge: it has more than `limit` bytes.
        MalformedBody: it is not JSON; the words say where.
    """
    said = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if said != "application/json" and not (said.startswith("application/") and said.endswith("+json")):
        raise WrongMediaType(
            f"The body is {said[:80] or 'of no media type'}", "JSON is read here", "Send Content-Type: application/json"
        )
    body = await read(request, limit)
    if not body.strip():
        raise MalformedBody("The body is empty", "The payload is expected there", "Send {} if there is nothing to say")
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise MalformedBody("The body is not JSON", str(error), "Check quotes, commas and UTF-8") from error


async def read_form(request: Request) -> dict[str, list[str]]:
    """Return the fields of an `application/x-www-form-urlencoded` body, each with its values.

    Raises:
        WrongMediaType, BodyTooLarge, MalformedBody: as `read_json`.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/x-www-form-urlencoded":
        raise WrongMediaType("A form is expected here", remedy="Send it from the page that shows it")
    body = await read(request, FORM)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise MalformedBody("The form cannot be read", str(error)) from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


async def read(request: Request, limit: int) -> bytes:
    """Return the body; it is not read further than `limit` bytes.

    Raises:
        BodyTooLarge: it has more.
    """
    announced = request.headers.get("content-length", "")
    too_large = BodyTooLarge("The body is too large", f"At most {limit:,} bytes are read here", "Send less at once")
    if announced.isdecimal() and int(announced[:18]) > limit:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)
