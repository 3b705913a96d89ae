"""Sessions, form tokens and the brake on guessing."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from steward.errors import RateLimited
from steward.ledger.access import Caller
from steward.sealing import Seal
from steward.web import sessions as module
from steward.web.attempts import MOST_FAILURES, WITHIN, Attempts
from steward.web.entrance import local
from steward.web.problems import FormExpired
from steward.web.sessions import Sessions

VERA = Caller("Vera", frozenset({"read"}), "key-1")


def request(cookie: str = "", **headers: str) -> Request:
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in ({"host": "h:1", "cookie": cookie} | headers).items()]
    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/",
            "scheme": "http",
            "server": ("h", 1),
            "headers": raw,
            "query_string": b"",
        }
    )


def cookie_of(response: Response) -> str:
    return response.headers["set-cookie"].partition(";")[0]


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(Seal(b"k" * 32), "http://h:1")


def test_a_session_comes_back_whole(sessions: Sessions) -> None:
    response = Response()
    sessions.open(response, VERA)
    session = sessions.read(request(cookie_of(response)))
    assert session is not None
    assert session.caller == VERA


def test_another_installations_session_is_none(sessions: Sessions) -> None:
    response = Response()
    Sessions(Seal(b"x" * 32), "http://h:1").open(response, VERA)
    assert sessions.read(request(cookie_of(response))) is None


def test_a_session_ends_by_itself(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    response = Response()
    sessions.open(response, VERA)
    later = module.now() + (module.LIFE + 1) * module.SECOND
    monkeypatch.setattr(module, "now", lambda: later)
    assert sessions.read(request(cookie_of(response))) is None


def test_a_form_token_belongs_to_one_session(sessions: Sessions) -> None:
    found = []
    for _ in range(2):
        response = Response()
        sessions.open(response, VERA)
        session = sessions.read(request(cookie_of(response)))
        assert session is not None
        found.append(session)
    sessions.check_form(request(), sessions.form_token(found[0]), found[0])
    with pytest.raises(FormExpired):
        sessions.check_form(request(), sessions.form_token(found[1]), found[0])
    with pytest.raises(FormExpired):
        sessions.check_form(request(), "é", found[0])


def test_a_first_form_needs_its_cookie(sessions: Sessions) -> None:
    response = Response()
    token = sessions.first_form_token(request(), response)
    sessions.check_form(request(cookie_of(response), origin="http://h:1"), token, None)
    for wrong in (request(), request("steward_form=other"), request(cookie_of(response), origin="http://evil")):
        with pytest.raises(FormExpired):
            sessions.check_form(wrong, token, None)


def test_failures_are_counted_per_address_and_forgotten() -> None:
    clock = [0.0]
    attempts = Attempts(lambda: clock[0])
    for _ in range(MOST_FAILURES):
        attempts.require("a")
        attempts.failed("a")
    attempts.require("b")
    with pytest.raises(RateLimited) as caught:
        attempts.require("a")
    assert 0 < caught.value.retry_after <= WITHIN + 1
    clock[0] = WITHIN + 1
    attempts.require("a")


@pytest.mark.parametrize("wanted", ["", "x", "//e", "/\\e", "https://e", "/a\nb", "\t/a"])
def test_only_paths_of_ours_are_returned_to(wanted: str) -> None:
    assert local(wanted) == ""


def test_a_path_of_ours_is_returned_to() -> None:
    assert local("/tasks/1?x=y") == "/tasks/1?x=y"
