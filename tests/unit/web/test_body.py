"""Bodies are read within limits, and no further than somebody waits for the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from steward.web.api.body import BodyArray, read_array, read_json
from steward.web.problems import BodyTooLarge, MalformedBody


def request_of(body: bytes, left: asyncio.Event | None = None) -> Request:
    messages = [{"type": "http.request", "body": body[n : n + 65536]} for n in range(0, len(body), 65536)] or [
        {"type": "http.request", "body": b""}
    ]
    messages = [m | {"more_body": m is not messages[-1]} for m in messages]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        if left is not None:
            await left.wait()
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


def test_an_array_is_read_value_by_value():
    async def read() -> list[Any]:
        return list(await read_array(request_of(b'[1, {"a": "b"}, null]')))

    assert asyncio.run(read()) == [1, {"a": "b"}, None]


def test_reading_ends_when_the_client_has_left():
    async def read() -> list[Any]:
        left, got = asyncio.Event(), []
        request = request_of(b"[" + b"1," * 1000 + b"1]", left)
        array = await read_array(request)
        async with array.watched(request):
            for value in array:
                got.append(value)
                if len(got) == 3:
                    left.set()
                    await asyncio.sleep(0)  # the watcher's turn
                    await asyncio.sleep(0)
        return got

    with pytest.raises(ClientDisconnect):
        asyncio.run(read())


@pytest.mark.parametrize("body", [b"{}", b"[1", b"[1] 2", b'[{"a": 1, "a": 2}]', b"", b" "])
def test_what_is_no_array_is_malformed(body):
    async def read() -> None:
        list(await read_array(request_of(body)))

    with pytest.raises(MalformedBody):
        asyncio.run(read())


def test_a_name_twice_is_malformed_in_a_single_body_too():
    with pytest.raises(MalformedBody, match="'to' stands twice"):
        asyncio.run(read_json(request_of(b'{"to": "a@example.org", "to": "b@example.org"}')))


def test_a_value_longer_than_a_single_body_is_too_large_in_an_array():
    with pytest.raises(BodyTooLarge):
        list(BodyArray(bytearray(b'["' + b"a" * 3_000_000 + b'"]')))
