"""Errors as problem documents."""

from __future__ import annotations

import inspect

import pytest
from starlette.exceptions import HTTPException

from steward import errors
from steward.errors import FieldProblem, InvalidPayload, RateLimited, StewardError
from steward.web import problems
from steward.web.access.keys import CHANGERS, SEERS
from steward.web.pages.base import SENDERS

BASE = "https://steward.example.org"
EVERY = [
    c
    for module in (errors, problems)
    for _, c in inspect.getmembers(module, inspect.isclass)
    if issubclass(c, StewardError) and c.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", EVERY, ids=lambda c: c.__name__)
def test_every_error_has_a_document(kind: type[StewardError]) -> None:
    status, members, _ = problems.document(kind("It failed", remedy="Do this"), BASE)
    assert 400 <= status <= 599
    assert members["status"] == status
    assert members["type"].removeprefix(f"{BASE}/problems/") in problems.KINDS
    assert members["detail"].startswith("It failed.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidPayload("x"), 422),
        (errors.Unsupported("x"), 422),
        (errors.UnknownHandler("x"), 404),
        (errors.UnknownTask("x"), 404),
        (errors.UnknownFile("x"), 404),
        (errors.UnknownSchedule("x"), 404),
        (errors.UnknownKey("x"), 404),
        (errors.UnknownUser("x"), 404),
        (errors.KeyConflict("x"), 409),
        (errors.StateConflict("x"), 409),
        (errors.NotPermitted("x"), 403),
        (errors.RateLimited("x"), 429),
        (errors.StorageFull("x"), 507),
        (errors.StorageUnavailable("x"), 503),
        (problems.NotSignedIn("x"), 401),
        (HTTPException(404), 404),
        (HTTPException(405), 405),
        (RuntimeError("x"), 500),
    ],
)
def test_the_status_of_each_error(error: Exception, status: int) -> None:
    assert problems.document(error, BASE)[0] == status


@pytest.mark.parametrize("kind", errors.NotFound.__subclasses__(), ids=lambda c: c.__name__)
def test_what_is_not_there_has_a_page_that_says_what_it_is(kind: type[errors.NotFound]) -> None:
    assert issubclass(kind, LookupError)
    _, members, _ = problems.document(kind("x"), BASE)
    assert members["type"] == f"{BASE}/problems/{kind.kind}"
    titles = [title for title, _ in problems.KINDS.values()]
    noun = kind.__name__.removeprefix("Unknown").lower() if kind.__name__.startswith("Unknown") else "nothing"
    assert noun in members["title"].lower()
    assert members["title"] in titles


def test_an_unforeseen_error_tells_nothing_of_itself() -> None:
    _, members, _ = problems.document(KeyError("ada@example.org"), BASE, "urn:uuid:1")
    assert "ada" not in str(members)
    assert members["instance"] == "urn:uuid:1"


def test_waiting_times_and_challenges_go_into_headers() -> None:
    assert problems.headers_of(RateLimited("x", retry_after=7)) == {"Retry-After": "7"}
    assert problems.headers_of(errors.StorageUnavailable("x")) == {"Retry-After": "5"}
    assert problems.headers_of(problems.NotSignedIn("x")) == {"WWW-Authenticate": 'Bearer realm="steward"'}
    assert 'scope="send"' in problems.headers_of(problems.MissingScope("x", scope="send"))["WWW-Authenticate"]


def test_a_page_says_in_plain_words_what_one_may_not_do_and_whom_to_ask() -> None:
    said = problems.refusal(problems.MissingScope("x", scope="read operate"), "Sam", {"reports", "read"})
    assert said.what == "You may not see the plugins"
    assert said.why == ("You are signed in as Sam and may see your own tasks and ask for reports and download them")
    assert said.remedy.startswith("Ask an operator")
    assert "scope" not in str(said)


def test_what_every_page_needs_has_words() -> None:
    needed = {SEERS, CHANGERS, SENDERS, ("reports", "operate"), ("read", "operate"), ("operate",)}
    said = {problems.refusal(problems.MissingScope("x", scope=" ".join(s)), "Sam", ()).what for s in needed}
    assert len(said) == len(needed)
    assert "You may not do this" not in said


def test_a_great_many_field_problems_are_counted_not_listed() -> None:
    error = InvalidPayload("x", [FieldProblem(f"{i}.email", "wrong") for i in range(1000)])
    _, members, _ = problems.document(error, BASE)
    assert len(members["errors"]) == problems.MOST_ERRORS
    assert members["errors_left_out"] == 900
    assert len(members["detail"]) < 100
