"""The HTTP interface as its callers meet it: through a real server, with good, odd and hostile input."""

from __future__ import annotations

import hashlib
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.journeys import web_site as site
from tests.servers.ports import wait_until

from steward.installation.container import Steward
from steward.storage import access
from steward.storage.fleet import heartbeat, pauses, workers
from steward.storage.tasks import search
from steward.system.clock import now
from steward.web.access.keys import TRUSTED_FOR

ADA = {"name": "Ada", "email": "ada@example.org"}


@dataclass
class Place:
    steward: Steward
    base: str
    keys: dict[str, str]

    def client(self, who: str) -> httpx.Client:
        return httpx.Client(base_url=self.base, headers={"Authorization": f"Bearer {self.keys[who]}"}, timeout=30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    steward = site.install(tmp_path_factory.mktemp("api"))
    keys = {
        "portal": site.key(steward, "portal", "send", "read"),
        "sender": site.key(steward, "sender", "send"),
        "reader": site.key(steward, "reader", "read"),
        "staff": site.key(steward, "staff", "reports"),
        "operator": site.key(steward, "operator", "send", "read", "reports", "operate"),
    }
    with site.serving(steward) as base:
        yield Place(steward, base, keys)


@pytest.fixture
def portal(place: Place) -> Iterator[httpx.Client]:
    with place.client("portal") as client:
        yield client


@pytest.fixture
def operator(place: Place) -> Iterator[httpx.Client]:
    with place.client("operator") as client:
        yield client


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Return the problem document, having checked that it is a valid one (RFC 9457)."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert urlsplit(document["type"]).path == f"/problems/{kind}"
    assert document["title"]
    assert document["detail"].endswith((".", "?", "!"))
    assert "Traceback" not in response.text
    assert {"type", "title", "status", "detail", "remedy"} <= document.keys()
    return document


def test_a_task_is_accepted_and_found_again(portal: httpx.Client) -> None:
    answer = portal.post("/v1/tasks/welcome_email", json=ADA)
    assert answer.status_code == 202
    task = answer.json()
    assert task["name"] == "welcome_email"
    assert task["state"] == "queued"
    assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
    assert portal.get(answer.headers["location"]).json() == task


def test_the_202_means_that_the_row_is_on_disk(place: Place, portal: httpx.Client) -> None:
    task_id = portal.post("/v1/tasks/welcome_email", json=ADA).json()["id"]
    assert place.steward.ledger.path is not None
    with sqlite3.connect(f"file:{place.steward.ledger.path}?mode=ro", uri=True) as other:
        assert other.execute("SELECT name FROM tasks WHERE id = ?", (task_id,)).fetchone() == ("welcome_email",)


def test_a_key_used_by_fifty_at_once_makes_one_task(place: Place) -> None:
    def send(_: int) -> tuple[int, str]:
        with place.client("portal") as client:
            answer = client.post("/v1/tasks/welcome_email", json=ADA, headers={"Idempotency-Key": "fifty"})
            return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(50)))
    assert {status for status, _ in answers} == {202}
    assert len({task_id for _, task_id in answers}) == 1


def test_a_key_does_not_stand_for_another_payload(portal: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one-payload"}
    assert portal.post("/v1/tasks/welcome_email", json=ADA, headers=headers).status_code == 202
    again = portal.post("/v1/tasks/welcome_email", json=ADA | {"name": "Eve"}, headers=headers)
    problem(again, 409, "key-conflict")


def test_another_callers_key_tells_nothing(place: Place, portal: httpx.Client) -> None:
    headers = {"Idempotency-Key": "mine"}
    far = {"run_at": "2036-01-01T00:00:00Z"}
    with place.client("sender") as other:
        theirs = other.post("/v1/tasks/welcome_email", params=far, json=ADA, headers=headers).json()
        first = portal.post("/v1/tasks/welcome_email", json=ADA, headers=headers)
        assert (first.status_code, first.json()["state"]) == (202, "queued")
        assert first.json()["id"] != theirs["id"]
        document = problem(other.post("/v1/tasks/welcome_email", json=ADA, headers=headers), 409, "key-conflict")
        assert other.post("/v1/tasks/welcome_email", params=far, json=ADA, headers=headers).json()["id"] == theirs["id"]
    assert first.json()["id"] not in json.dumps(document)


@pytest.mark.parametrize("bulk", ["", "/bulk"])
def test_options_belong_to_what_a_key_stands_for(portal: httpx.Client, bulk: str) -> None:
    body = [ADA, ADA] if bulk else ADA
    given = {"run_at": "2036-01-01T00:00:00Z", "expires_at": "2036-01-02T00:00:00Z", "priority": "7"}
    headers = {"Idempotency-Key": f"options{bulk}"}

    def send(query: dict[str, str], body: object = body) -> httpx.Response:
        return portal.post(f"/v1/tasks/welcome_email{bulk}", params=query, json=body, headers=headers)

    first = send(given)
    assert first.status_code == 202
    answers = [send(given), send(given | {"run_at": "2036-01-01T01:00:00+01:00"})]
    assert [answer.json() for answer in answers] == [first.json()] * 2
    for change in ({"run_at": "2036-01-01T00:00:01Z"}, {"expires_at": "2036-01-02T00:00:01Z"}, {"priority": "8"}):
        problem(send(given | change), 409, "key-conflict")
    for left_out in given:
        problem(send({name: value for name, value in given.items() if name != left_out}), 409, "key-conflict")
    other = [ADA, ADA | {"name": "Eve"}] if bulk else ADA | {"name": "Eve"}
    problem(send(given, other), 409, "key-conflict")


def test_a_bulk_under_a_key_is_accepted_once(place: Place, portal: httpx.Client) -> None:
    body = [ADA | {"email": f"bulk-{n}@example.org"} for n in range(3)]

    def send(_: int) -> tuple[int, tuple[str, ...]]:
        with place.client("portal") as client:
            answer = client.post("/v1/tasks/welcome_email/bulk", json=body, headers={"Idempotency-Key": "fifty bulks"})
            return answer.status_code, tuple(answer.json()["ids"])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(50)))
    assert {status for status, _ in answers} == {202}
    (ids,) = {ids for _, ids in answers}
    assert len(set(ids)) == 3
    assert [t["id"] for t in portal.get("/v1/tasks", params={"recipient": body[0]["email"]}).json()["tasks"]] == [
        ids[0]
    ]
    one = portal.post("/v1/tasks/welcome_email", json=body[0], headers={"Idempotency-Key": "fifty bulks"})
    problem(one, 409, "key-conflict")


def test_options_are_honoured(portal: httpx.Client) -> None:
    query = {"run_at": "2040-01-02T03:04:05+01:00", "expires_at": "2040-01-03T00:00:00Z", "priority": "7"}
    task = portal.post("/v1/tasks/welcome_email", params=query, json=ADA).json()
    assert task["state"] == "scheduled"
    assert task["due_at"] == "2040-01-02T02:04:05.000Z"
    assert task["expires_at"] == "2040-01-03T00:00:00.000Z"


def test_an_unescaped_plus_in_a_time_is_understood(portal: httpx.Client) -> None:
    answer = portal.post("/v1/tasks/welcome_email?run_at=2040-01-02T03:04:05+01:00", json=ADA)
    assert answer.json()["due_at"] == "2040-01-02T02:04:05.000Z"


@pytest.mark.parametrize(
    "query",
    [
        "runat=2040-01-01T00:00:00Z",
        "run_at=tomorrow",
        "run_at=2040-01-01T00:00:00",
        "expires_at=2001-01-01T00:00:00Z",
        "priority=high",
        "priority=101",
        "priority=99999999999999999999",
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused(portal: httpx.Client, query: str) -> None:
    problem(portal.post(f"/v1/tasks/welcome_email?{query}", json=ADA), 422, "invalid-option")


def test_a_misspelt_option_gets_the_nearest_name(portal: httpx.Client) -> None:
    document = problem(portal.post("/v1/tasks/welcome_email?runat=x", json=ADA), 422, "invalid-option")
    assert "run_at" in document["remedy"]


def test_a_wrong_field_gets_the_nearest_name(portal: httpx.Client) -> None:
    answer = portal.post("/v1/tasks/welcome_email", json={"name": "Ada", "emial": "ada@example.org"})
    errors = {e["field"]: e for e in problem(answer, 422, "invalid-payload")["errors"]}
    assert errors["emial"]["nearest"] == "email"
    assert errors["email"]["message"]


def test_each_wrong_value_is_named(portal: httpx.Client) -> None:
    document = problem(portal.post("/v1/tasks/welcome_email", json={"name": 5, "email": "x"}), 422, "invalid-payload")
    assert {e["field"] for e in document["errors"]} == {"name", "email"}


def test_an_unknown_name_gets_the_nearest_one(portal: httpx.Client) -> None:
    document = problem(portal.post("/v1/tasks/welcome_emial", json=ADA), 404, "unknown-handler")
    assert "welcome_email" in document["remedy"]
    problem(portal.post("/v1/tasks/welcome_emial/bulk", json=[ADA]), 404, "unknown-handler")


def test_what_the_handlers_own_look_refuses_is_said_at_once(operator: httpx.Client) -> None:
    answer = operator.post("/v1/tasks/grant_report", json={"grant": "NONE", "since": "2026-01-01"})
    document = problem(answer, 422, "invalid-request")
    assert "NONE" in document["detail"]
    assert document["remedy"] == "Choose one that exists."


@pytest.mark.parametrize("payload", [[], "text", 5, None, True])
def test_a_payload_that_is_no_object_is_refused(portal: httpx.Client, payload: Any) -> None:
    answer = portal.post(
        "/v1/tasks/welcome_email", content=json.dumps(payload), headers={"content-type": "application/json"}
    )
    problem(answer, 422, "invalid-payload")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"{'name': 'Ada'}",
        b'{"name": NaN, "email": "a@example.org"}',
        b'{"name": "\\ud800", "email": "a@example.org"}',
        b'{"name": "\xff", "email": "a@example.org"}',
        b'{"name": "Ada"} {"name": "Ben"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_is_refused(portal: httpx.Client, body: bytes) -> None:
    answer = portal.post("/v1/tasks/welcome_email", content=body, headers={"content-type": "application/json"})
    problem(answer, 400, "malformed-body")


def test_another_media_type_is_refused(portal: httpx.Client) -> None:
    document = problem(portal.post("/v1/tasks/welcome_email", data=ADA), 415, "wrong-media-type")
    assert "application/json" in document["remedy"]


def test_a_body_over_the_limit_is_refused_announced_or_not(portal: httpx.Client) -> None:
    large = json.dumps(ADA | {"name": "a" * (1024 * 1024)}).encode()
    problem(
        portal.post("/v1/tasks/welcome_email", content=large, headers={"content-type": "application/json"}),
        413,
        "body-too-large",
    )

    def parts() -> Iterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    answer = portal.post("/v1/tasks/welcome_email", content=parts(), headers={"content-type": "application/json"})
    problem(answer, 413, "body-too-large")


def test_a_payload_over_its_own_limit_is_refused(portal: httpx.Client) -> None:
    problem(portal.post("/v1/tasks/welcome_email", json=ADA | {"name": "a" * 300_000}), 422, "invalid-payload")


def test_bulk_is_all_or_nothing_and_in_order(portal: httpx.Client) -> None:
    people = [{"name": f"P{i}", "email": f"p{i}@example.org"} for i in range(300)]
    answer = portal.post("/v1/tasks/welcome_email/bulk", json=people).json()
    assert answer["count"] == 300
    assert portal.get(f"/v1/tasks/{answer['ids'][299]}").status_code == 200
    found = portal.get("/v1/tasks", params={"recipient": "p299@example.org"}).json()["tasks"]
    assert [t["id"] for t in found] == [answer["ids"][299]]
    people[150]["email"] = "nonsense"
    document = problem(portal.post("/v1/tasks/welcome_email/bulk", json=people), 422, "invalid-payload")
    assert document["errors"][0]["field"] == "150.email"
    assert len(portal.get("/v1/tasks", params={"recipient": "p0@example.org"}).json()["tasks"]) == 1


def test_bulk_knows_its_limits(portal: httpx.Client) -> None:
    problem(portal.post("/v1/tasks/welcome_email/bulk", json=ADA), 400, "malformed-body")
    problem(portal.post("/v1/tasks/tidy/bulk", json=[{}] * 10_001), 422, "invalid-option")
    headers = {"Idempotency-Key": "k" * 256}
    problem(portal.post("/v1/tasks/tidy/bulk", json=[{}], headers=headers), 422, "invalid-option")
    assert portal.post("/v1/tasks/tidy/bulk", json=[]).json() == {"ids": [], "count": 0}
    document = problem(portal.post("/v1/tasks/welcome_email/bulk", json=[{}] * 500), 422, "invalid-payload")
    assert len(document["errors"]) == 100
    assert document["errors"][-1]["field"].startswith("49.")
    assert "after the first 100 problems" in document["remedy"]


def test_tasks_are_found_page_by_page(place: Place) -> None:
    token = site.key(place.steward, "pager", "send", "read")
    with httpx.Client(base_url=place.base, headers={"Authorization": f"Bearer {token}"}) as client:
        made = client.post("/v1/tasks/tidy/bulk", json=[{}] * 25).json()["ids"]
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(5):
            page = client.get("/v1/tasks", params={"limit": 10, **({"cursor": cursor} if cursor else {})}).json()
            seen += [t["id"] for t in page["tasks"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(made)
        assert client.get("/v1/tasks?state=queued,running&name=tidy&limit=1").json()["tasks"][0]["name"] == "tidy"
        assert client.get("/v1/tasks?state=succeeded").json()["tasks"] == []
        assert client.get("/v1/tasks?since=2040-01-01T00:00:00Z").json()["tasks"] == []


@pytest.mark.parametrize(
    "query",
    [
        "cursor=nonsense",
        "cursor=" + "x" * 5000,
        "state=sleeping",
        "limit=0",
        "limit=501",
        "limit=ten",
        "since=now",
        "stat=x",
    ],
)
def test_a_search_that_makes_no_sense_is_refused(portal: httpx.Client, query: str) -> None:
    problem(portal.get(f"/v1/tasks?{query}"), 422, "invalid-option")


def test_anothers_task_is_not_there(place: Place, portal: httpx.Client, operator: httpx.Client) -> None:
    theirs = site.hand_over(place.steward, "welcome_email", ADA | {"email": "hidden@example.org"}, "somebody else")
    refused = problem(portal.get(f"/v1/tasks/{theirs}"), 404, "unknown-task")
    missing = problem(portal.get(f"/v1/tasks/{theirs[:-1]}0"), 404, "unknown-task")
    assert refused["detail"].replace(theirs, "") == missing["detail"].replace(f"{theirs[:-1]}0", "")
    assert portal.get("/v1/tasks", params={"recipient": "hidden@example.org"}).json()["tasks"] == []
    assert operator.get(f"/v1/tasks/{theirs}").status_code == 200


def test_cancel_and_retry(place: Place, operator: httpx.Client) -> None:
    task = operator.post("/v1/tasks/tidy", json={}).json()["id"]
    problem(operator.post(f"/v1/tasks/{task}/retry"), 409, "state-conflict")
    assert operator.post(f"/v1/tasks/{task}/cancel").json()["state"] == "cancelled"
    problem(operator.post(f"/v1/tasks/{task}/cancel"), 409, "state-conflict")
    failed = operator.post("/v1/tasks/tidy", json={}).json()["id"]
    site.set_task(place.steward, failed, state="failed", error="It broke.")
    assert operator.post(f"/v1/tasks/{failed}/retry").json()["state"] == "queued"
    problem(operator.post("/v1/tasks/nothing/cancel"), 404, "unknown-task")
    with place.steward.ledger.read() as connection:
        assert [h["actor"] for h in search.history(connection, failed)] == ["operator"]


def test_one_cancels_and_retries_ones_own_and_nobody_elses(place: Place) -> None:
    own = site.hand_over(place.steward, "grant_report", {"grant": "DOL-1", "since": "2026-01-01"}, "staff")
    theirs = site.hand_over(place.steward, "grant_report", {"grant": "DOL-1", "since": "2026-01-01"}, "portal")
    with place.client("staff") as staff:
        for act in ("cancel", "retry"):
            refused = problem(staff.post(f"/v1/tasks/{theirs}/{act}"), 404, "unknown-task")
            missing = problem(staff.post(f"/v1/tasks/nothing/{act}"), 404, "unknown-task")
            assert refused["detail"].replace(theirs, "") == missing["detail"].replace("nothing", "")
        site.set_task(place.steward, own, state="failed", error="It broke.")
        assert staff.post(f"/v1/tasks/{own}/retry").json()["state"] == "queued"
        assert staff.post(f"/v1/tasks/{own}/cancel").json()["state"] == "cancelled"
    assert place.steward.service.get_status(theirs).state == "queued"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "not-signed-in"),
        ({"Authorization": "Bearer"}, "not-signed-in"),
        ({"Authorization": "Bearer stw_nobody"}, "not-signed-in"),
        ({"Authorization": "Basic YTpi"}, "not-signed-in"),
        ({"Authorization": "Bearer " + "x" * 4000}, "not-signed-in"),
    ],
)
def test_no_key_no_answer(place: Place, headers: dict[str, str], kind: str) -> None:
    for method, path in (("POST", "/v1/tasks/welcome_email"), ("GET", "/v1/tasks"), ("GET", "/v1/plugins")):
        answer = httpx.request(method, place.base + path, headers=headers)
        problem(answer, 401, kind)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_key_ends_within_moments(place: Place) -> None:
    token = site.key(place.steward, "leaver", "send", "read")
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{place.base}/v1/tasks", headers=headers).status_code == 200
    place.steward.ledger.apply(lambda c: access.revoke_key(c, "leaver"))
    ended = time.monotonic() + TRUSTED_FOR + 3
    status = 200
    while status == 200 and time.monotonic() < ended:
        status = httpx.get(f"{place.base}/v1/tasks", headers=headers).status_code
    assert status == 401


def test_the_use_of_a_key_is_noted(place: Place) -> None:
    token = site.key(place.steward, "noted", "read")
    httpx.get(f"{place.base}/v1/tasks", headers={"Authorization": f"Bearer {token}"})

    def is_noted() -> bool:
        with place.steward.ledger.read() as connection:
            return next(k for k in access.list_keys(connection) if k.name == "noted").used_at is not None

    wait_until(is_noted, "the use is noted")  # by a thread of its own: no answer waits for it


@pytest.mark.parametrize(
    ("who", "method", "path"),
    [
        ("sender", "GET", "/v1/tasks"),
        ("sender", "GET", "/v1/tasks/x"),
        ("reader", "POST", "/v1/tasks/x/cancel"),
        ("reader", "POST", "/v1/tasks/x/retry"),
        ("portal", "GET", "/v1/tasks/x/artifacts/1"),
        ("staff", "POST", "/v1/tasks/welcome_email"),
        ("staff", "POST", "/v1/tasks/welcome_email/bulk"),
        ("sender", "GET", "/v1/plugins"),
    ],
)
def test_a_scope_that_is_missing_is_named(place: Place, who: str, method: str, path: str) -> None:
    with place.client(who) as client:
        answer = client.request(method, path, json=ADA if method == "POST" else None)
    problem(answer, 403, "missing-scope")
    assert "insufficient_scope" in answer.headers["www-authenticate"]


def test_staff_may_ask_for_what_is_made_for_staff(place: Place) -> None:
    with place.client("staff") as client:
        answer = client.post("/v1/tasks/grant_report", json={"grant": "DOL-1", "since": "2026-01-01"})
        assert answer.status_code == 202
        assert client.get(answer.headers["location"]).json()["name"] == "grant_report"


def test_a_file_is_streamed_and_the_access_recorded(place: Place, operator: httpx.Client) -> None:
    task = operator.post("/v1/tasks/tidy", json={}).json()["id"]
    content = b"a,b\n" * 300_000
    site.add_file(place.steward, task, 1, "figures.csv", content, "text/csv; charset=utf-8")
    answer = operator.get(f"/v1/tasks/{task}/artifacts/1")
    assert answer.content == content
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="figures.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    tag = answer.headers["etag"]
    assert tag == f'"{hashlib.sha256(content).hexdigest()}"'
    again = operator.get(f"/v1/tasks/{task}/artifacts/1", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    with place.steward.ledger.read() as connection:
        taken = [h for h in search.history(connection, task) if h["action"] == "downloaded"]
    assert [(h["actor"], h["detail"]) for h in taken] == [("operator", "figures.csv")]


def test_a_hostile_file_name_stays_a_name(place: Place, operator: httpx.Client) -> None:
    task = operator.post("/v1/tasks/tidy", json={}).json()["id"]
    name = 'a"\r\nSet-Cookie: x=1\r\n\r\n<script>/../é.csv'
    site.add_file(place.steward, task, 1, "safe.csv", b"x")
    place.steward.ledger.apply(
        lambda c: c.exec_driver_sql(
            "UPDATE artifacts SET name = ?, media_type = ? WHERE task_id = ?", (name, "text/html\r\nX: y", task)
        )
    )
    answer = operator.get(f"/v1/tasks/{task}/artifacts/1")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "x" not in answer.headers
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="aSet-Cookie')


def test_a_file_that_is_not_there_or_not_theirs(place: Place, operator: httpx.Client) -> None:
    task = operator.post("/v1/tasks/tidy", json={}).json()["id"]
    for n in ("1", "x", "-1", "99999999999999999999", "%2e%2e"):
        problem(operator.get(f"/v1/tasks/{task}/artifacts/{n}"), 404, "unknown-file")
    site.add_file(place.steward, task, 1, "gone.csv", b"x")
    with place.client("staff") as staff:
        problem(staff.get(f"/v1/tasks/{task}/artifacts/1"), 404, "unknown-task")
    place.steward.archive.remove(task)
    problem(operator.get(f"/v1/tasks/{task}/artifacts/1"), 503, "storage-unavailable")


def test_no_secret_comes_back(place: Place, portal: httpx.Client) -> None:
    link = "https://example.org/reset/very-secret-token"
    answer = portal.post("/v1/tasks/password_reset", json={"email": "ada@example.org", "link": link})
    assert "very-secret" not in answer.text
    assert "very-secret" not in portal.get(answer.headers["location"]).text
    wrong = portal.post("/v1/tasks/password_reset", json={"email": "x", "link": link})
    assert "very-secret" not in wrong.text


def test_what_is_not_there_is_told_as_a_problem(portal: httpx.Client) -> None:
    problem(portal.get("/v1/nothing"), 404, "not-found")
    problem(portal.get("/nothing"), 404, "not-found")
    answer = portal.put("/v1/tasks", json={})
    problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


def test_a_problems_type_is_a_page_that_explains_it(place: Place, portal: httpx.Client) -> None:
    kind = urlsplit(portal.get("/v1/tasks/nothing").json()["type"]).path
    page = httpx.get(place.base + kind)
    assert page.status_code == 200
    assert "No such task" in page.text


def test_handlers_and_plugins_are_listed(operator: httpx.Client) -> None:
    handlers = {h["name"]: h for h in operator.get("/v1/handlers").json()["handlers"]}
    assert handlers["welcome_email"]["example"] == {"name": "Ada", "email": "ada@example.org"}
    assert handlers["welcome_email"]["schema"]["properties"]["email"]["format"] == "email"
    assert "choices_query" not in json.dumps(handlers)
    assert handlers["password_reset"]["example"]["link"] == "https://example.org/r"
    plugins = {p["name"]: p for p in operator.get("/v1/plugins").json()["plugins"]}
    assert "dues_letter.py:3" in plugins["dues_letter"]["error"]
    assert plugins["small"]["error"] is None
    assert plugins["dues_letter"]["origin"].endswith("/dues_letter.py")


@pytest.mark.parametrize("who", ["reader", "portal"])
def test_where_this_machine_keeps_its_plugins_is_told_to_operators_alone(place: Place, who: str) -> None:
    folder = str(place.steward.settings.plugin_directories[0])
    with place.client(who) as client:
        told = client.get("/v1/plugins")
        unknown = client.post("/v1/tasks/nothing_at_all_like_it", json={})
    assert folder not in told.text + unknown.text
    assert told.status_code in (200, 403)
    if told.status_code == 200:
        plugins = {p["name"]: p for p in told.json()["plugins"]}
        assert plugins["dues_letter"]["origin"] == "dues_letter.py"
        assert plugins["small"]["error"] is None
        assert plugins["dues_letter"]["error"] == "It could not be loaded; operators see why: steward plugins"


def test_openapi_describes_every_handler(place: Place) -> None:
    document = httpx.get(f"{place.base}/openapi.json").json()
    for name, handler in place.steward.registry.handlers.items():
        route = document["paths"][f"/v1/tasks/{name}"]["post"]
        assert route["summary"] == handler.summary
        content = route["requestBody"]["content"]["application/json"]
        assert content["schema"]["$ref"] == f"#/components/schemas/{name}"
        assert "example" in content
        assert {"202", "401", "403", "409", "422", "503", "507"} <= route["responses"].keys()
        assert f"/v1/tasks/{name}/bulk" in document["paths"]
    schemas = document["components"]["schemas"]
    assert schemas["password_reset.Reset"]["properties"]["link"]["format"] == "password"
    assert "choices_query" not in json.dumps(document)
    for reference in _references(document):
        assert reference.rpartition("/")[2] in schemas, reference


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_health_says_why_not(place: Place) -> None:
    assert httpx.get(f"{place.base}/livez").json() == {"status": "alive"}
    answer = httpx.get(f"{place.base}/readyz")
    assert answer.status_code == 503
    assert "No worker" in answer.json()["reasons"][0]
    place.steward.ledger.apply(lambda c: workers.register(c, "w", "host", "slot-0", 1, "durable", None, now()))
    answer = httpx.get(f"{place.base}/readyz")
    assert answer.status_code == 200
    assert answer.json()["workers"] == 1
    place.steward.ledger.apply(lambda c: heartbeat.retire(c, ["w"]))
    assert httpx.get(f"{place.base}/readyz").status_code == 503


def test_the_words_of_servers_are_for_operators(place: Place) -> None:
    said = "535 5.7.8 the words of a server"
    place.steward.ledger.apply(lambda c: pauses.stop_lane(c, "smtp", said, now(), now()))
    try:
        for who in ("", "portal", "staff", "wrong"):
            token = place.keys.get(who, "stw_wrong")
            headers = {"Authorization": f"Bearer {token}"} if who else {}
            answer = httpx.get(f"{place.base}/readyz", headers=headers)
            assert answer.status_code == 503
            assert "words of a server" not in answer.text
        with place.client("operator") as client:
            assert said in client.get("/readyz").text
    finally:
        place.steward.ledger.apply(lambda c: pauses.start_lane(c, "smtp"))


def test_metrics_count_and_name_nobody(place: Place, portal: httpx.Client) -> None:
    task = portal.post("/v1/tasks/welcome_email", json=ADA | {"email": "metrics@example.org"}).json()["id"]
    site.add_delivery(place.steward, task, 1, "metrics@example.org", "refused", 550, "no such user")
    ended, text = time.monotonic() + 5, ""
    while 'steward_deliveries{outcome="refused"} 1' not in text and time.monotonic() < ended:
        text = httpx.get(f"{place.base}/metrics").text
    assert 'steward_deliveries{outcome="refused"} 1' in text
    assert "steward_oldest_waiting_seconds" in text
    assert "@" not in text
    for line in text.splitlines():
        assert line.startswith("# ") or len(line.rsplit(" ", 1)) == 2
        if not line.startswith("#"):
            float(line.rsplit(" ", 1)[1])


def test_every_answer_carries_the_security_headers(place: Place, portal: httpx.Client) -> None:
    for answer in (portal.get("/v1/tasks"), portal.get("/v1/nothing"), httpx.get(f"{place.base}/livez")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_nonsense_on_the_wire_does_not_stop_the_server(place: Place, portal: httpx.Client) -> None:
    parts = urlsplit(place.base)
    for noise in (b"\x00\x01\x02\r\n\r\n", b"POST /v1/tasks/tidy HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"):
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as raw:
            raw.sendall(noise)
            assert not raw.recv(4096).startswith(b"HTTP/1.1 5")
    assert portal.get("/v1/tasks").status_code == 200
