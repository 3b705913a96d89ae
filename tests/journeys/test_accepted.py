"""Whatever is accepted is listed, shown, and performed or ended, whichever door it came through."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.journeys import web_site as site
from tests.journeys.test_pages import token_of

from steward import Options, Query, StewardError, cli
from steward.errors import InvalidRequest
from steward.installation.settings import load
from steward.storage.database.schema.tables import tasks
from steward.worker.dry_run import DryRun, trial

PLUGIN = '''
"""Takes what it is given."""
from datetime import datetime, timedelta
from typing import Any
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from steward import Note, Private, Secret, handler, hookimpl

class Plain(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    some_text: str = ""
    share: float = 0.0
    number: int = 0
    when: datetime | None = None
    to: str = ""
    data: dict[str, Any] = {}

class Given(Plain):
    private: Private = ""
    secret: Secret | None = None

@handler(example=Given(), staff=True, expires_after=timedelta(days=365000))
def take(given: Given) -> Note:
    """Take it."""
    return Note("Taken.")

@handler(example=Plain(), lane="jobs")
def repeat(plain: Plain) -> Note:
    """Take it again and again."""
    return Note("Taken again.")

@hookimpl
def register_handlers():
    return [take, repeat]
'''
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.one_of(
    st.datetimes(timezones=ZONES),
    st.timedeltas(timedelta(days=-2), timedelta(days=2)).map(lambda away: datetime.now(UTC) + away),
    st.sampled_from(["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "9999-12-30T23:59:59Z"]).map(
        datetime.fromisoformat
    ),
)
STAMPS = st.one_of(TIMES.map(datetime.isoformat), st.text(max_size=12), st.just("2026-01-01"), st.just("9" * 40))
# Seldom what is no text or no number in JSON: it refuses the whole request, and hides the rest.
TEXTS = st.one_of(*[st.text(max_size=8)] * 9, st.text(st.characters(), max_size=8))
FLOATS = st.one_of(*[st.floats(allow_nan=False, allow_infinity=False)] * 9, st.floats(), st.just(10**400))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PLAIN = {
    "someText": TEXTS,
    "share": FLOATS,
    "number": st.integers(-(2**200), 2**200),
    "when": TIMES.map(datetime.isoformat),
    "to": st.sampled_from(["a@example.org", "a\0b@example.org", "nobody", "a@b\n", "x" * 400 + "@y", "ü@example.org"]),
    "data": st.dictionaries(st.text(max_size=4), VALUES, max_size=3),
}
PLAINLY = st.fixed_dictionaries({}, optional=PLAIN)
PAYLOADS = st.fixed_dictionaries({}, optional={**PLAIN, "private": TEXTS, "secret": TEXTS})


class House:
    """An installation whose tasks are performed here, and its doors."""

    def __init__(self, made: DryRun, base: str) -> None:
        self.trial, self.steward = made, made.steward
        token = site.key(self.steward, "Olga", "send", "read", "reports", "operate")
        self.web = httpx.Client(base_url=base, timeout=30)
        page = self.web.get("/sign-in", headers={"Accept": "text/html"})
        self.web.post("/sign-in", data={"form_token": token_of(page), "key": token})  # the cookie is for the pages
        self.key = {"Authorization": f"Bearer {token}"}

    def count(self) -> int:
        with self.steward.ledger.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(tasks)) or 0)

    def call(self, method: str, path: str, value: Any = None, **query: Any) -> httpx.Response:
        """Ask over HTTP; nothing is ever answered with 500, and nothing is kept of what was refused."""
        before = self.count()
        headers = self.key | {"Content-Type": "application/json"}
        answer = self.web.request(
            method, path, content=None if value is None else json.dumps(value), params=query, headers=headers
        )
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert self.count() == before
            assert answer.headers["content-type"] == "application/problem+json"
        return answer

    def see_through(self, *ids: str) -> None:
        """Every door shows these tasks, and each is performed or ended."""
        for task_id in ids:
            shown = self.call("GET", f"/v1/tasks/{task_id}")
            assert shown.status_code == 200
            assert self.page(f"/tasks/{task_id}")
        listed = {task["id"] for task in self.call("GET", "/v1/tasks", limit=500).json()["tasks"]}
        assert set(ids) <= listed
        assert set(ids) <= {task.id for task in self.trial.service.find(Query(limit=500)).tasks}
        assert self.page("/")
        self.trial.service.run_due()
        for task_id in ids:
            task = self.trial.service.get_status(task_id)
            if not task.finished:
                assert task.state == "scheduled", task
                task = self.trial.service.cancel(task_id)
            assert task.state in ("succeeded", "cancelled", "expired"), task.error
        self.steward.ledger.apply(lambda c: c.execute(tasks.delete()))  # the next one's lists are short again

    def page(self, path: str) -> bool:
        return self.web.get(path, headers={"Accept": "text/html"}).status_code == 200


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("accepted")
    (folder / "plugins").mkdir()
    (folder / "plugins" / "take.py").write_text(PLUGIN)
    chosen = load(data_dir=folder / "data", plugins_dir=folder / "plugins", free_space_mb=0)
    with trial(chosen) as made, site.serving(made.steward) as base:
        made.service.enqueue("take")  # what performs is warm
        yield House(made, base)


@FEW
@given(payload=PAYLOADS, run_at=st.none() | STAMPS, expires_at=st.none() | STAMPS, priority=st.none() | st.integers())
def test_over_http(house: House, payload: Any, run_at: Any, expires_at: Any, priority: Any) -> None:
    query = {"run_at": run_at, "expires_at": expires_at, "priority": priority}
    answer = house.call("POST", "/v1/tasks/take", payload, **{n: v for n, v in query.items() if v is not None})
    if answer.status_code == 202:
        house.see_through(answer.json()["id"])


@FEW
@given(payloads=st.lists(PAYLOADS, max_size=4), run_at=st.none() | STAMPS, expires_at=st.none() | STAMPS)
def test_in_bulk(house: House, payloads: Any, run_at: Any, expires_at: Any) -> None:
    query = {"run_at": run_at, "expires_at": expires_at}
    answer = house.call("POST", "/v1/tasks/take/bulk", payloads, **{n: v for n, v in query.items() if v is not None})
    if answer.status_code == 202:
        house.see_through(*answer.json()["ids"])


@FEW
@given(payload=PLAINLY, cron=st.sampled_from(["0 6 * * *", "0 0 29 2 *", "* * * * *"]))
def test_as_a_schedule(house: House, payload: Any, cron: str) -> None:
    answer = house.call("POST", "/v1/schedules", {"name": "repeat", "payload": payload, "cron": cron})
    if answer.status_code != 201:
        assert answer.status_code in (400, 422), answer.text
        return
    made = answer.json()["id"]
    assert [each["id"] for each in house.call("GET", "/v1/schedules").json()["schedules"]] == [made]
    assert house.page("/schedules")
    house.see_through(house.call("POST", f"/v1/schedules/{made}/run").json()["id"])
    assert house.call("DELETE", f"/v1/schedules/{made}").status_code == 204


@FEW
@given(fields=st.dictionaries(st.sampled_from(["someText", "share", "number", "when", "to"]), st.text(max_size=9)))
def test_from_a_form(house: House, fields: dict[str, str]) -> None:
    page = house.web.get("/ask/take", headers={"Accept": "text/html"})
    before = house.count()
    headers = {"Accept": "text/html"}
    fields = {name: text.encode(errors="replace").decode() for name, text in fields.items()}
    answer = house.web.post("/ask/take", data=fields | {"form_token": token_of(page)}, headers=headers)
    assert answer.status_code in (303, 422), answer.text
    assert house.count() == before + (answer.status_code == 303)
    if answer.status_code == 303:
        house.see_through(answer.headers["location"].rpartition("/")[2])


@FEW
@given(
    payload=PAYLOADS,
    run_at=TIMES | st.none() | st.just("now") | st.datetimes(),
    options=st.fixed_dictionaries(
        {},
        optional={
            "expires_at": TIMES | st.integers(),
            "priority": st.integers() | st.floats() | st.booleans() | st.text(max_size=2),
            "requested_by": TEXTS | st.integers(),
            "key": TEXTS | st.integers(),
        },
    ),
)
def test_in_process(house: House, payload: Any, run_at: Any, options: dict[str, Any]) -> None:
    service = house.trial.service
    calls: list[Callable[[], list[str]]] = [
        lambda: [service.submit("take", payload, Options(run_at=run_at, **options)).id],
        lambda: [service.schedule("take", run_at, payload, **options)],
        lambda: [service.enqueue("take", payload, **options)],
        lambda: service.enqueue_many("take", [payload, payload], options=Options(run_at=run_at, **options)),
    ]
    for call in calls:
        before = house.count()
        try:
            ids = call()
        except InvalidRequest:
            assert house.count() == before
        except StewardError as error:  # the key of the call before stands for another time
            assert error.kind == "key-conflict"
        else:
            house.see_through(*ids)


@settings(FEW, max_examples=12)
@given(payload=PAYLOADS, run_at=st.none() | STAMPS, expires_at=st.sampled_from(["9w", "999999w", "2h", "x", "99999d"]))
def test_by_the_command(house: House, payload: Any, run_at: Any, expires_at: str) -> None:
    with pytest.MonkeyPatch.context() as patch, _quiet():
        chosen = house.steward.settings
        patch.setenv("STEWARD_DATA_DIR", str(chosen.data_dir))
        patch.setenv("STEWARD_PLUGINS_DIR", str(chosen.plugins_dir))
        patch.setenv("STEWARD_FREE_SPACE_MB", "0")
        later = [] if run_at is None else [f"--run-at={run_at}"]
        before = {task.id for task in house.trial.service.find(Query(limit=500)).tasks}
        whole = json.dumps(payload)
        code = cli.run(["send", "take", "--payload", whole, f"--expires-at={expires_at}", *later, "--json"])
        after = {task.id for task in house.trial.service.find(Query(limit=500)).tasks}
        assert code in (0, 2)
        assert len(after - before) == (code == 0)
        assert cli.run(["tasks", "--json"]) == 0
        assert cli.run(["tasks"]) == 0
        for task_id in after - before:
            assert cli.run(["status", task_id]) == 0
    if after - before:
        house.see_through(*after - before)


class _quiet:  # a context
    """The command sets the log up for its process, which here is the tests'."""

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._before = root.handlers[:], root.level

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.handlers[:], root.level = self._before


@FEW
@given(name=st.sampled_from(["since", "until"]), stamp=STAMPS)
def test_a_filter_is_understood_or_refused(house: House, name: str, stamp: str) -> None:
    answer = house.call("GET", "/v1/tasks", **{name: stamp})
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize("door", ["/v1/tasks/take", "/v1/tasks/take/bulk"])
@pytest.mark.parametrize("option", ["run_at", "expires_at"])
@pytest.mark.parametrize("stamp", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "9999-12-31T00:00:00Z"])
def test_a_time_outside_of_the_calendar_is_refused_before_the_commit(
    house: House, door: str, option: str, stamp: str
) -> None:
    body = [{}] if door.endswith("bulk") else {}
    answer = house.call("POST", door, body, **{option: stamp})
    assert answer.status_code == 422
    assert "outside of the calendar" in answer.json()["detail"]


def test_a_row_that_another_version_wrote_takes_no_door_down(house: House, tmp_path: Path) -> None:
    ids = house.trial.service.enqueue_many("take", [{}, {}, {}, {}])
    broken: list[dict[str, Any]] = [
        {"due_at": 253_402_387_199_000_000, "state": "scheduled"},
        {"payload": "{", "state": "queued"},
        {"state": "pondering"},
        {"due_at": "soon", "created_at": "once", "state": "failed"},
    ]
    for task_id, values in zip(ids, broken, strict=True):
        sets = ", ".join(f"{name} = :{name}" for name in values)
        change = sa.text(f"UPDATE tasks SET {sets} WHERE id = :id")
        house.steward.ledger.apply(lambda c, v=values, i=task_id, s=change: c.execute(s, v | {"id": i}))
    for path in ("/v1/tasks", "/metrics", "/livez", *(f"/v1/tasks/{task_id}" for task_id in ids)):
        assert house.call("GET", path).status_code == 200, path
    for path in ("/", "/?show=failed", *(f"/tasks/{task_id}" for task_id in ids)):
        assert house.page(path), path
    assert house.call("POST", f"/v1/tasks/{ids[2]}/cancel").status_code == 409
    for task_id in (ids[0], ids[1]):
        assert house.call("POST", f"/v1/tasks/{task_id}/cancel").status_code == 200
    house.trial.service.run_due()
    house.steward.ledger.apply(lambda c: c.execute(tasks.delete()))
