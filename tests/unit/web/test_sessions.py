"""Sessions, form tokens and the brake on guessing."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from starlette.requests import Request
from starlette.responses import Response

from steward.errors import RateLimited
from steward.model.caller import Caller
from steward.storage.encryption import Seal
from steward.web.access import sessions as module
from steward.web.access.sessions import Session, Sessions
from steward.web.access.throttle import MOST_FAILURES, WITHIN, LoginThrottle, network_of
from steward.web.pages.login import local
from steward.web.problems import FormExpired

VERA = Caller("key-1", "Vera", frozenset({"read"}))


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
    token, until = sessions.open(response)
    assert sessions.read(request(cookie_of(response))) == token
    assert until > module.now()


def test_another_installations_session_is_none(sessions: Sessions) -> None:
    response = Response()
    Sessions(Seal(b"x" * 32), "http://h:1").open(response)
    assert sessions.read(request(cookie_of(response))) is None


def test_a_session_ends_by_itself(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    response = Response()
    sessions.open(response)
    later = module.now() + (module.LIFE + 1) * module.SECOND
    monkeypatch.setattr(module, "now", lambda: later)
    assert sessions.read(request(cookie_of(response))) is None


def test_a_form_token_belongs_to_one_session(sessions: Sessions) -> None:
    found = []
    for _ in range(2):
        response = Response()
        sessions.open(response)
        token = sessions.read(request(cookie_of(response)))
        assert token is not None
        found.append(Session(VERA, token))
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


def fail(attempts: LoginThrottle, address: str) -> None:
    with attempts.one(address) as attempt:
        attempt.fail()


def test_failures_are_counted_per_address_and_forgotten() -> None:
    clock = [0.0]
    attempts = LoginThrottle(lambda: clock[0])
    for _ in range(MOST_FAILURES):
        fail(attempts, "a")
    fail(attempts, "b")
    with pytest.raises(RateLimited) as caught:
        fail(attempts, "a")
    assert 0 < caught.value.retry_after <= WITHIN + 1
    clock[0] = WITHIN + 1
    fail(attempts, "a")


def test_what_is_right_is_let_in_after_any_number_of_failures_and_counts_as_none() -> None:
    attempts = LoginThrottle(lambda: 0.0)
    for _ in range(MOST_FAILURES - 1):
        fail(attempts, "a")
    for _ in range(50):
        with attempts.one("a"):
            pass
    fail(attempts, "a")
    with pytest.raises(RateLimited):
        fail(attempts, "a")
    with attempts.one("a"):
        pass
    with pytest.raises(OSError, match="full"), attempts.one("b"):  # nobody knows whether it would have been right
        raise OSError("full")
    for _ in range(MOST_FAILURES):
        fail(attempts, "b")


def test_attempts_at_once_are_no_better_than_one_after_another() -> None:
    attempts, refused = LoginThrottle(lambda: 0.0), 0
    with ExitStack() as at_once:
        begun = [at_once.enter_context(attempts.one("a")) for _ in range(100)]
        for attempt in begun:
            try:
                attempt.fail()
            except RateLimited:
                refused += 1
    assert refused == 100 - MOST_FAILURES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("nonsense", "other", False),
    ],
)
def test_whoever_has_a_network_is_counted_as_one(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


@pytest.mark.parametrize("wanted", ["", "x", "//e", "/\\e", "https://e", "/a\nb", "\t/a"])
def test_only_paths_of_ours_are_returned_to(wanted: str) -> None:
    assert local(wanted) == ""


def test_a_path_of_ours_is_returned_to() -> None:
    assert local("/tasks/1?x=y") == "/tasks/1?x=y"
