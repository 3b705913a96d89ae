"""What a request may say beside its body, and in which words it is refused."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from steward.errors import InvalidOption, InvalidPayload
from steward.model.caller import PROCESS, Caller
from steward.web.api.query import SubmissionQuery, TaskFilter, declared, only_key, refused, require_known


def errors_of(model: type[Any], **given: Any) -> RequestValidationError:
    """Return what FastAPI raises for a query."""
    caught: list[RequestValidationError] = []
    app = FastAPI()

    @app.exception_handler(RequestValidationError)
    async def catch(request: Request, error: RequestValidationError) -> None:
        caught.append(error)
        raise error

    async def find(wanted: Any) -> None: ...

    find.__annotations__["wanted"] = model
    app.get("/")(find)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") as web:
            await web.get("/", params=given)

    with pytest.raises(RequestValidationError):
        asyncio.run(ask())
    return caught[0]


def query_of(model: Any) -> Any:
    return Annotated[model, Query()]


async def options(wanted: Annotated[SubmissionQuery, Query()]) -> SubmissionQuery:
    return wanted


async def find(
    plain: str, several: Annotated[list[str], Query()], wanted: Annotated[SubmissionQuery, Depends(options)]
) -> None: ...


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (SubmissionQuery, {"run_at": "2026-01-01"}, "run_at cannot be used"),
        (SubmissionQuery, {"expires_at": "soon"}, "expires_at cannot be used"),
        (SubmissionQuery, {"priority": "high"}, "'high' is not a whole number"),
        (TaskFilter, {"limit": "0"}, "The limit 0 cannot be used"),
        (TaskFilter, {"limit": "501"}, "It goes from 1 to 500"),
        (TaskFilter, {"since": "2026-01-01T00:00:00"}, "since cannot be used"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_our_words(model: Any, given: dict[str, str], words: str) -> None:
    error = refused(errors_of(query_of(model), **given))
    assert isinstance(error, InvalidOption)
    assert words in str(error)


def test_what_only_fastapi_refuses_is_told_in_our_shape() -> None:
    error = refused(errors_of(query_of(int)))
    assert isinstance(error, InvalidPayload)
    assert [(each.field, each.message) for each in error.problems] == [("query.wanted", "Field required")]


def test_states_may_be_given_several_times_or_with_commas_and_the_sign_of_an_offset_may_be_lost() -> None:
    wanted = TaskFilter.model_validate({"state": ["failed,queued", "running"], "since": "2026-01-01T00:00:00 01:00"})
    query = wanted.query(Caller("me", "me", frozenset(("read",))))
    assert query.states == ["failed", "queued", "running"]
    assert query.since is not None
    assert query.since.isoformat() == "2026-01-01T00:00:00+01:00"
    assert (query.owner_id, query.limit) == ("me", 50)
    assert wanted.query(PROCESS).owner_id is None


def test_what_a_route_takes_is_found_through_all_its_dependencies() -> None:
    found = declared(APIRoute("/", find).dependant)
    assert found == {"plain": False, "several": True, "run_at": False, "expires_at": False, "priority": False}


def asked(query: str, *headers: tuple[bytes, bytes]) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": list(headers)})


@pytest.mark.parametrize("query", ["runat=1", "run_at=", "run_at=1&run_at=2", "run_at=%00", "state=a,"])
def test_what_cannot_be_meant_is_refused(query: str) -> None:
    with pytest.raises(InvalidOption):
        require_known(asked(query), {"run_at": False, "state": True})
    require_known(asked("state=a&state=b,c&run_at=1"), {"run_at": False, "state": True})


def test_there_is_one_key() -> None:
    one = (b"idempotency-key", b"k")
    assert only_key(asked("", one), "k") == "k"
    assert only_key(asked(""), None) is None
    with pytest.raises(InvalidOption, match="more than one"):
        only_key(asked("", one, one), "k")
