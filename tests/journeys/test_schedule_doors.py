"""Schedules as programs and people meet them: through HTTP, on their page, and on the page of asking."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.journeys import web_site as site
from tests.journeys.test_pages import Person, Place, token_of, words_of

GRANT = {"grant": "DOL-1", "since": "2026-01-01", "recipients": ["ada@example.org"]}
ORDER = {"name": "grant_report", "payload": GRANT, "cron": "0 7 1 */3 *", "zone": "America/Chicago"}

FILLED = {
    "grant": "DOL-1",
    "since": "2026-01-01",
    "period": "one_quarter",
    "least": "0",
    "formats": "pdf",
    "recipients": "ada@example.org",
    "how_often": "quarter",
}
"""The form of asking for a grant report, filled in but for its tokens."""


def ticket_of(form: httpx.Response) -> str:
    found = re.search(r'name="ticket" value="([0-9a-f]+)"', form.text)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    steward = site.install(tmp_path_factory.mktemp("schedules"))
    with site.serving(steward) as base:
        yield Place(steward, base)


@pytest.fixture
def sam(place: Place) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {site.key(place.steward, 'Sam', 'reports')}"}
    with httpx.Client(base_url=place.base, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def olga(place: Place) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {site.key(place.steward, 'Olga', 'send', 'operate')}"}
    with httpx.Client(base_url=place.base, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(autouse=True)
def empty(place: Place) -> None:
    for each in place.steward.schedules.find():
        place.steward.schedules.remove(each.entry.id)


def test_a_schedule_is_made_seen_paused_resumed_run_and_deleted(place: Place, sam: httpx.Client) -> None:
    made = sam.post("/v1/schedules", json=ORDER)
    assert made.status_code == 201, made.text
    address, shown = made.headers["location"], made.json()
    assert (shown["words"], shown["zone"]) == (
        "every quarter on the first day at 07:00 (America/Chicago)",
        "America/Chicago",
    )
    assert [each[10:16] for each in shown["next"]] == ["T07:00"] * 3
    assert shown["payload"]["recipients"] == ["ada@example.org"]
    assert sam.get("/v1/schedules").json()["schedules"] == [shown]
    paused = sam.post(f"{address}/pause").json()
    assert (paused["paused_by"], paused["next_at"], paused["next"]) == ("Sam", None, [])
    assert sam.post(f"{address}/resume").json()["next_at"] == shown["next_at"]
    task = sam.post(f"{address}/run")
    assert (task.status_code, task.json()["name"]) == (202, "grant_report")
    firings = sam.get(address).json()["firings"]
    assert [(f["outcome"], f["task_id"]) for f in firings] == [("by hand", task.json()["id"])]
    assert sam.delete(address).status_code == 204
    assert sam.get(address).status_code == 404


def test_one_key_makes_one_schedule(sam: httpx.Client) -> None:
    made = [sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": "q"}).json()["id"] for _ in range(2)]
    assert len(set(made)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 8 1 * *"},
        {"zone": "UTC"},
        {"missed": "skip"},
        {"payload": GRANT | {"recipients": ["bob@example.org"]}},
    ],
)
def test_another_request_under_a_schedule_s_key_is_refused_in_words(sam: httpx.Client, change: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "q"}
    made = sam.post("/v1/schedules", json=ORDER, headers=headers).json()["id"]
    other = sam.post("/v1/schedules", json=ORDER | change, headers=headers)
    assert other.status_code == 409, other.text
    assert f"It stands for the schedule {made}" in other.json()["detail"]
    assert "new key" in other.json()["remedy"]
    assert [each["id"] for each in sam.get("/v1/schedules").json()["schedules"]] == [made]


def test_a_schedule_s_key_is_its_caller_s_and_no_task_s(sam: httpx.Client, olga: httpx.Client) -> None:
    headers = {"Idempotency-Key": "q"}
    made = [each.post("/v1/schedules", json=ORDER, headers=headers) for each in (sam, olga)]
    assert [each.status_code for each in made] == [201, 201]
    assert made[0].json()["id"] != made[1].json()["id"]
    task = sam.post("/v1/tasks/grant_report", json=ORDER["payload"], headers=headers)
    assert (task.status_code, task.json()["detail"].count("the schedule")) == (409, 1)
    first = sam.post("/v1/tasks/grant_report", json=ORDER["payload"], headers={"Idempotency-Key": "t"})
    assert first.status_code == 202, first.text
    later = sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": "t"})
    assert (later.status_code, later.json()["detail"].count(f"the task {first.json()['id']}")) == (409, 1)


def test_a_late_repeat_does_not_bring_back_a_schedule_that_was_deleted(sam: httpx.Client) -> None:
    made = sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": "q"})
    assert sam.delete(made.headers["location"]).status_code == 204
    again = sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": "q"})
    assert (again.status_code, "was deleted" in again.json()["detail"]) == (409, True)
    assert sam.get("/v1/schedules").json()["schedules"] == []
    assert sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": "q2"}).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"cron": "0 7 1"}, 422, "cron expression"),
        ({"cron": "0 0 30 2 *"}, 422, "cron expression"),
        ({"zone": "Mars/Olympus"}, 422, "time zone"),
        ({"missed": "twice"}, 422, "missed"),
        ({"when": "now"}, 422, "there is no such field"),
        ({"payload": {"grant": "DOL-1"}}, 422, "since"),
        ({"payload": GRANT | {"grant": "NONE"}}, 422, "no such grant"),
        ({"name": "grant_rapport"}, 404, "grant_report"),
        ({"name": "tidy", "payload": {}}, 403, "scope"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_in_words(
    sam: httpx.Client, change: dict[str, object], status: int, field: str
) -> None:
    answer = sam.post("/v1/schedules", json=ORDER | change)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.text
    assert sam.get("/v1/schedules").json()["schedules"] == []


def test_another_person_s_schedule_is_not_there(sam: httpx.Client, olga: httpx.Client) -> None:
    address = olga.post("/v1/schedules", json=ORDER).headers["location"]
    assert sam.get("/v1/schedules").json()["schedules"] == []
    for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/run"), ("DELETE", "")):
        refused = sam.request(method, address + path)
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (404, "unknown-schedule")
    mine = sam.post("/v1/schedules", json=ORDER).headers["location"]
    assert olga.post(f"{mine}/pause").status_code == 200
    assert len(olga.get("/v1/schedules").json()["schedules"]) == 2


def test_the_description_tells_of_schedules(place: Place) -> None:
    document = httpx.get(f"{place.base}/openapi.json").json()
    paths = [path for path in document["paths"] if path.startswith("/v1/schedules")]
    assert sorted(paths) == [
        "/v1/schedules",
        "/v1/schedules/{schedule_id}",
        "/v1/schedules/{schedule_id}/pause",
        "/v1/schedules/{schedule_id}/resume",
        "/v1/schedules/{schedule_id}/run",
    ]
    assert {"Schedule", "Schedules", "Firing"} <= set(document["components"]["schemas"])


def test_staff_ask_for_a_report_every_quarter_without_a_script(place: Place) -> None:
    with Person(place) as sam:
        sam.sign_in(site.key(place.steward, "Sam", "reports"))
        form = sam.get("/ask/grant_report")
        assert "Every quarter, on its first day" in words_of(form)
        filled = FILLED | {"form_token": token_of(form), "ticket": ticket_of(form)}
        wrong = sam.post("/ask/grant_report", data=filled | {"since": ""})
        assert wrong.status_code == 422
        assert '<option value="quarter" selected>' in wrong.text
        page = sam.post("/ask/grant_report", data=filled)
        assert page.url.path == "/schedules"
        said = words_of(page)
        assert "Grant report New" in said
        assert "Every quarter on the first day at 06:00" in said
        assert "ada@example.org" in said
        sam.post("/ask/grant_report", data=filled)  # a second press
        mine = place.steward.schedules.find(site.holder(place.steward, "Sam"))
        assert len(mine) == 1
        changed = filled | {"recipients": "bob@example.org"}  # gone back to, changed and sent again: a new request
        assert "bob@example.org" in words_of(sam.post("/ask/grant_report", data=changed))
        two = place.steward.schedules.find(site.holder(place.steward, "Sam"))
        (other,) = [each for each in two if each.entry.id != mine[0].entry.id]
        place.steward.schedules.remove(other.entry.id)
        token, address = token_of(page), f"/schedules/{mine[0].entry.id}"
        assert "Resting since" in words_of(sam.post(f"{address}/pause", data={"form_token": token}))
        assert "Resting since" not in words_of(sam.post(f"{address}/resume", data={"form_token": token}))
        assert sam.post(f"{address}/run", data={"form_token": token}).url.path.startswith("/tasks/")
        assert "Run by hand" in words_of(sam.get("/schedules"))
        assert "Nothing is scheduled" in words_of(sam.post(f"{address}/delete", data={"form_token": token}))


def test_an_owner_has_so_many_schedules_at_most_at_every_door_and_nobody_else_is_held_up(
    place: Place, sam: httpx.Client, olga: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.steward.schedules, "_most", 3)
    made = [sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": f"q{n}"}) for n in range(3)]
    assert [each.status_code for each in made] == [201] * 3
    paused = f"{made[0].headers['location']}"
    assert sam.post(f"{paused}/pause").status_code == 200
    refused = sam.post("/v1/schedules", json=ORDER)
    assert refused.status_code == 409
    assert "One key or person may have 3 at once" in refused.json()["detail"]
    assert "STEWARD_SCHEDULES_PER_OWNER" in refused.text
    # A repeat is no new one; what is deleted makes room; another owner has their own.
    again = sam.post("/v1/schedules", json=ORDER, headers={"Idempotency-Key": "q1"})
    assert (again.status_code, again.json()["id"]) == (201, made[1].json()["id"])
    assert olga.post("/v1/schedules", json=ORDER).status_code == 201
    with Person(place) as person:
        person.sign_in(sam.headers["authorization"].removeprefix("Bearer "))
        form = person.get("/ask/grant_report")
        filled = FILLED | {"form_token": token_of(form), "ticket": ticket_of(form)}
        mine = person.post("/ask/grant_report", data=filled)
        assert "One key or person may have 3 at once" in words_of(mine)
        assert "ada@example.org" in mine.text  # what was filled in stands
    assert sam.delete(paused).status_code == 204
    assert sam.post("/v1/schedules", json=ORDER).status_code == 201
    assert len(sam.get("/v1/schedules").json()["schedules"]) == 3


def test_a_page_of_schedules_shows_only_one_s_own(place: Place, olga: httpx.Client) -> None:
    olga.post("/v1/schedules", json=ORDER)
    with Person(place) as sam:
        sam.sign_in(site.key(place.steward, "Sam", "reports"))
        assert "Nothing is scheduled" in words_of(sam.get("/schedules"))


def test_the_simple_engine_offers_no_schedules(tmp_path: Path) -> None:
    steward = site.install(tmp_path, engine="background", allow_interruptible=True)
    with site.serving(steward) as base, Person(Place(steward, base)) as sam:
        key = site.key(steward, "Sam", "reports")
        sam.sign_in(key)
        assert "How often" not in words_of(sam.get("/ask/grant_report"))
        assert "This engine has no schedules" in words_of(sam.get("/schedules"))
        refused = httpx.post(f"{base}/v1/schedules", json=ORDER, headers={"Authorization": f"Bearer {key}"})
        assert refused.status_code == 422
        assert refused.json()["remedy"] == "Set STEWARD_ENGINE=durable."
