"""Reads request bodies within limits: one JSON value, an array value by value, or the fields of a form."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from steward.system import strict_json
from steward.web.problems import BodyTooLarge, MalformedBody, WrongMediaType

SINGLE = 1024 * 1024
BULK = 64 * 1024 * 1024
FORM = 512 * 1024
MOST_FIELDS = 500


async def read_json(request: Request, limit: int = SINGLE) -> Any:
    """Return the body's JSON value (RFC 8259, read strictly: see `jsontext`).

    Raises:
        WrongMediaType: the body says that it is something else.
        BodyTooLarge: it has more than `limit` bytes.
        MalformedBody: it is not JSON; the words say where.
    """
    body = await _json_body(request, limit)
    try:
        return strict_json.read(body)
    except ValueError as error:
        raise _malformed(error) from error


class BodyArray:
    """The values of a JSON array that came as a body, read one by one while they are asked for."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self._left = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        """Yield the values.

        Raises:
            MalformedBody, BodyTooLarge: the text ends or errs there, or one value is longer than a whole single body.
            ClientDisconnect: whoever sent it has left; nobody would read the answer.
        """
        try:
            for value in strict_json.elements(self._body, SINGLE):
                if self._left.is_set():
                    raise ClientDisconnect
                yield value
        except strict_json.TooLong as error:
            raise BodyTooLarge("A value in the body is too large", str(error), "Send less at once") from error
        except strict_json.NotAnArray as error:
            raise MalformedBody(
                "The body is not an array", "An array of payloads is expected", "Send [{…}, {…}]"
            ) from error
        except ValueError as error:
            raise _malformed(error) from error

    @contextlib.asynccontextmanager
    async def watched(self, request: Request) -> AsyncIterator[None]:
        """End the reading when the client leaves, for as long as the block lasts."""
        watcher = asyncio.create_task(self._watch(request))
        try:
            yield
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._left.set()


async def read_array(request: Request, limit: int = BULK) -> BodyArray:
    """Return the values of the array that the body is. Raises as `read_json`, in part while they are read."""
    return BodyArray(await _json_body(request, limit))


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


async def read(request: Request, limit: int) -> bytearray:
    """Return the body; it is not read further than `limit` bytes.

    Raises:
        BodyTooLarge: it has more.
    """
    announced = request.headers.get("content-length", "")
    too_large = BodyTooLarge("The body is too large", f"At most {limit:,} bytes are read here", "Send less at once")
    if announced.isdecimal() and int(announced[:18]) > limit:
        raise too_large
    body = bytearray()  # grown in place: to keep the pieces and join them would take twice the room
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise too_large
        body += chunk
    return body


async def _json_body(request: Request, limit: int) -> bytearray:
    said = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if said != "application/json" and not (said.startswith("application/") and said.endswith("+json")):
        raise WrongMediaType(
            f"The body is {said[:80] or 'of no media type'}", "JSON is read here", "Send Content-Type: application/json"
        )
    body = await read(request, limit)
    if not body or body.isspace():
        raise MalformedBody("The body is empty", "The payload is expected there", "Send {} if there is nothing to say")
    return body


def _malformed(error: ValueError) -> MalformedBody:
    return MalformedBody("The body is not JSON", str(error), "Check names, quotes, commas and UTF-8")
