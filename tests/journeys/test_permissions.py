"""Who may do what, at every door: the page on security says it, and these hold the service to the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.journeys import web_site as site
from tests.journeys.test_pages import BROWSER, Person, Place, token_of, words_of

from steward import Options
from steward.errors import NotPermitted
from steward.installation.container import Steward
from steward.installation.settings import load, shipped
from steward.model.caller import COMMAND_LINE, INTERNAL, PROCESS, SCOPES, SERVICE, Caller
from steward.model.declaration.handler import Handler
from steward.model.service import Query
from steward.plugins.registry import load as load_plugins
from steward.storage import access
from steward.storage.database.schema.tables import api_keys, schedules
from steward.system.clock import SECOND, now
from steward.web.app import create

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "security.md"
NOBODY = "nobody"
COLUMNS = (NOBODY, *SCOPES)

MAY_ASK = {
    "send": {"send"},
    "reports": {"reports", "operate"},
    "operate": {"operate"},
    "internal": set(),
}
"""Which scopes ask for what is made for each audience; written out here, so that the code is not its own witness."""


def install(folder: Path) -> Steward:
    """Return an installation with what ships, and the small report whose source is there."""
    steward = site.install(folder, schedules_per_owner=1000)
    small = steward.registry
    shipped_ones = load_plugins([shipped("plugins")], entry_points=False)
    shipped_ones.handlers |= {name: h for name, h in small.handlers.items() if name in ("grant_report", "tidy")}
    steward.registry = shipped_ones
    return steward


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    steward = install(tmp_path_factory.mktemp("permissions"))
    with site.serving(steward) as base:
        yield Place(steward, base)


def client(place: Place, *scopes: str, only: tuple[str, ...] = (), name: str = "") -> httpx.Client:
    token = site.key(place.steward, name or "-".join((*scopes, *only)), *scopes, only=only)
    return httpx.Client(base_url=place.base, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def payload(handler: Handler) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(handler.example.model_dump_json(by_alias=True))
    if handler.name == "password_reset":
        given |= {"link": "https://members.example.org/1", "email": f"ada-{now()}@example.org"}
    return {"grant": "DOL-1", "since": "2026-01-01"} if handler.name == "grant_report" else given


HANDLERS = ("welcome_email", "password_reset", "grant_report", "purge", "backup", "integrity_check", "alert",
            "alert_webhook", "tidy")  # fmt: skip


@pytest.mark.parametrize("name", HANDLERS)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_handler_is_asked_for_by_whom_it_is_made_for_at_every_door(place: Place, scope: str, name: str) -> None:
    handler = place.steward.registry.get(name)
    may, body = scope in MAY_ASK[handler.scope], payload(handler)
    with client(place, scope) as caller:
        accepted = {
            "one": caller.post(f"/v1/tasks/{name}", json=body).status_code == 202,
            "bulk": caller.post(f"/v1/tasks/{name}/bulk", json=[payload(handler)]).status_code == 202,
            "schedule": caller.post(
                "/v1/schedules", json={"name": name, "payload": payload(handler), "cron": "0 6 * * *"}
            ).status_code
            == 201,
        }
        keeps_secret = name == "password_reset"  # no schedule keeps one
        assert accepted == {"one": may, "bulk": may, "schedule": may and not keeps_secret}
        listed = {each["name"] for each in caller.get("/v1/handlers").json()["handlers"]}
        document = caller.get("/openapi.json").json()
        assert (name in listed) == may
        assert (f"/v1/tasks/{name}" in document["paths"]) == (f"/v1/tasks/{name}/bulk" in document["paths"]) == may
        assert (name in document["components"]["schemas"]) == may
        for each in caller.get("/v1/schedules").json().get("schedules", []):
            caller.delete(f"/v1/schedules/{each['id']}")


def test_what_is_refused_says_whom_it_is_for_and_makes_nothing(place: Place) -> None:
    before = len(place.steward.service.find(Query(limit=500)).tasks)
    with client(place, "send") as caller:
        for name, kind, words in (
            ("purge", "missing-scope", "This needs the scope operate"),
            ("grant_report", "missing-scope", "This needs the scope reports or operate"),
            ("alert", "not-permitted", "Nobody may ask for alert"),
        ):
            for path in (f"/v1/tasks/{name}", f"/v1/tasks/{name}/bulk"):
                answer = caller.post(path, content=b"not even JSON")
                assert answer.status_code == 403
                assert answer.json()["type"].endswith(kind)
                assert words in answer.json()["detail"]
    assert len(place.steward.service.find(Query(limit=500)).tasks) == before


def test_a_stranger_is_told_of_nothing_that_is_for_operators_or_the_service(place: Place) -> None:
    paths = httpx.get(f"{place.base}/openapi.json").json()["paths"]
    told = {path.split("/")[3] for path in paths if path.startswith("/v1/tasks/")} & set(
        place.steward.registry.handlers
    )
    known = place.steward.registry.handlers.values()
    assert told == {h.name for h in known if h.scope in ("send", "reports")}


@pytest.mark.parametrize("name", HANDLERS)
def test_the_process_and_the_command_ask_for_what_is_theirs(place: Place, name: str) -> None:
    handler = place.steward.registry.get(name)
    made = place.steward.service.prepare(name, payload(handler), Options())
    assert made.owner_id == PROCESS.id
    assert PROCESS.may_ask(name, handler.scope)
    assert SERVICE.may_ask(name, handler.scope)
    assert COMMAND_LINE.may_ask(name, handler.scope) == (handler.scope != INTERNAL)
    everything = Caller("k", "k", frozenset(SCOPES))
    assert everything.may_ask(name, handler.scope) == (handler.scope != INTERNAL)


LIMITED = ("welcome_email", "grant_report", "backup")


@pytest.mark.parametrize("name", [*LIMITED, "tidy", "purge", "password_reset"])
def test_a_key_that_is_limited_asks_for_sees_and_changes_nothing_else(place: Place, name: str) -> None:
    steward, within = place.steward, name in LIMITED
    task = site.hand_over(steward, name, payload(steward.registry.get(name)), "somebody")
    kept = name != "password_reset"
    standing = steward.schedules.make(name, payload(steward.registry.get(name)), "0 6 * * *") if kept else None
    with client(place, *SCOPES, only=LIMITED, name="limited") as caller:
        body = payload(steward.registry.get(name))
        assert (caller.post(f"/v1/tasks/{name}", json=body).status_code == 202) == within
        assert (caller.post(f"/v1/tasks/{name}/bulk", json=[]).status_code == 202) == within
        assert caller.get(f"/v1/tasks/{task}").status_code == (200 if within else 404)
        listed = {each["name"] for each in caller.get("/v1/tasks", params={"limit": 500}).json()["tasks"]}
        assert listed <= set(LIMITED)
        assert (name in listed) == within
        assert {each["name"] for each in caller.get("/v1/handlers").json()["handlers"]} == set(LIMITED)
        site.set_task(steward, task, state="failed", error="It broke.")
        assert caller.post(f"/v1/tasks/{task}/retry").status_code == (200 if within else 404)
        assert caller.post(f"/v1/tasks/{task}/cancel").status_code == (200 if within else 404)
        if standing is not None:
            address = f"/v1/schedules/{standing.entry.id}"
            assert caller.get(address).status_code == (200 if within else 404)
            for act in ("pause", "resume", "run"):
                assert caller.post(f"{address}/{act}").is_success == within
            assert caller.delete(address).is_success == within
        assert {each["name"] for each in caller.get("/v1/schedules").json()["schedules"]} <= set(LIMITED)
    if standing is not None and not within:
        steward.schedules.remove(standing.entry.id)


def test_a_limited_key_signs_in_to_its_own_tasks_and_no_outbox(place: Place) -> None:
    other = site.hand_over(place.steward, "tidy", {}, "somebody")
    with Person(place) as browser:
        browser.sign_in(site.key(place.steward, "limited", *SCOPES, only=("grant_report",)))
        page = browser.get("/")
        assert other not in page.text
        assert "/outbox" not in page.text
        assert browser.get("/outbox").status_code == 403
        assert browser.get(f"/tasks/{other}").status_code == 404


def narrow(steward: Steward, name: str, scopes: str) -> None:
    steward.ledger.apply(lambda c: c.execute(api_keys.update().where(api_keys.c.name == name).values(scopes=scopes)))


def test_what_was_asked_for_before_scopes_were_narrowed_is_not_made_again(place: Place) -> None:
    steward = place.steward
    with client(place, "send", "reports", name="narrowed") as caller:
        body = payload(steward.registry.get("grant_report"))
        task = caller.post("/v1/tasks/grant_report", json=body).json()["id"]
        order = {"name": "grant_report", "payload": body, "cron": "* * * * *"}
        address = caller.post("/v1/schedules", json=order).headers["location"]
        site.set_task(steward, task, state="failed", error="It broke.")
    narrow(steward, "narrowed", "send")
    steward.schedules.get(address.rpartition("/")[2])
    holder = site.holder(steward, "narrowed")
    with pytest.raises(NotPermitted):
        steward.service.retry(task, caller=holder)
    with pytest.raises(NotPermitted):
        steward.schedules.run(address.rpartition("/")[2], caller=holder)
    assert steward.service.get_status(task).state == "failed"


@pytest.mark.parametrize("change", ["narrowed", "revoked", "handler", "removed"])
def test_a_schedule_rests_when_its_owner_may_not_ask_for_it_any_more(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steward = install(tmp_path)
    try:
        if change == "removed":
            link = steward.ledger.apply(lambda c: access.create_link(c, "Nora", ["reports"]))
            owner = steward.ledger.apply(lambda c: access.use_link(c, link))
            assert owner is not None
        else:
            site.key(steward, "Nora", "reports")
            owner = site.holder(steward, "Nora")
        made = steward.schedules.make(
            "grant_report", {"grant": "DOL-1", "since": "2026-01-01"}, "* * * * *", caller=owner
        )
        due = made.entry.next_at
        assert due is not None
        assert len(steward.scheduler.fire(due)) == 1
        if change == "narrowed":
            narrow(steward, "Nora", "send")
        elif change == "revoked":
            steward.ledger.apply(lambda c: access.revoke_key(c, "Nora"))
        elif change == "removed":
            steward.ledger.apply(lambda c: access.remove_user(c, "Nora"))
        else:
            known = steward.registry.handlers
            monkeypatch.setitem(known, "grant_report", replace(known["grant_report"], scope="internal"))
        assert steward.scheduler.fire(due + 60 * SECOND) == []
        rests = steward.schedules.get(made.entry.id)
        assert (rests.entry.paused_by, rests.entry.next_at) == ("steward", None)
        assert rests.last is not None
        assert rests.last.outcome == "refused"
        assert steward.scheduler.fire(due + 3600 * SECOND) == []
        if change == "handler":
            with pytest.raises(NotPermitted):
                steward.schedules.resume(made.entry.id, caller=COMMAND_LINE)
        else:
            resumed = steward.schedules.resume(made.entry.id, caller=COMMAND_LINE)
            assert resumed.entry.owner_id == COMMAND_LINE.id
            assert resumed.entry.next_at is not None
            assert len(steward.scheduler.fire(resumed.entry.next_at + 3600 * SECOND)) == 1
    finally:
        steward.close()


def test_a_schedule_of_before_that_was_never_theirs_to_make_does_not_fire(tmp_path: Path) -> None:
    steward = install(tmp_path)
    try:
        site.key(steward, "app", "send")
        owner = site.holder(steward, "app")
        made = steward.schedules.make("purge", {"older_than_days": 1}, "* * * * *", caller=COMMAND_LINE)
        theirs = schedules.update().where(schedules.c.id == made.entry.id).values(owner_id=owner.id, owner="app")
        steward.ledger.apply(lambda c: c.execute(theirs))
        assert steward.scheduler.fire((made.entry.next_at or 0) + SECOND) == []
        assert steward.service.find(Query(name="purge")).tasks == ()
        steward.scheduler.declare()
        declared = [each for each in steward.schedules.find() if each.entry.origin == "plugin"]
        assert {each.entry.name for each in declared} == {"integrity_check", "backup", "purge"}
        newest = max(each.entry.next_at or 0 for each in declared)
        assert len(steward.scheduler.fire(newest)) >= 3
    finally:
        steward.close()


def test_two_of_one_name_do_not_see_each_other_s(place: Place) -> None:
    with client(place, "send", "read", name="twin") as first:
        task = first.post("/v1/tasks/welcome_email", json={"name": "Ada", "email": "ada@example.org"}).json()["id"]
        assert first.get(f"/v1/tasks/{task}").status_code == 200
    with client(place, "send", "read", "reports", name="twin") as second:  # the first one was revoked
        assert second.get("/v1/tasks").json()["tasks"] == []
        for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/artifacts/1")):
            assert second.request(method, f"/v1/tasks/{task}{path}").status_code == 404
    link = place.steward.ledger.apply(lambda c: access.create_link(c, "twin", ["reports"]))
    with Person(place) as person:
        person.post(f"/sign-in/{link}", data={"form_token": token_of(person.get(f"/sign-in/{link}"))})
        assert task not in person.get("/").text
        assert person.get(f"/tasks/{task}").status_code == 404


def test_signing_out_ends_every_copy_of_the_cookie(place: Place) -> None:
    with Person(place) as browser:
        browser.sign_in(site.key(place.steward, "Olga", *SCOPES))
        cookie = BROWSER | {"Cookie": f"steward_session={browser.cookies['steward_session']}"}
        assert httpx.get(place.base, headers=cookie).status_code == 200
        token = token_of(browser.get("/"))
        with Person(place) as elsewhere:  # another session of the same key goes on
            elsewhere.sign_in(site.key(place.steward, "Olga the second", *SCOPES))
            browser.post("/sign-out", data={"form_token": token})
            assert elsewhere.get("/").url.path == "/"
    for path in ("/", "/schedules", "/plugins", "/outbox", "/ask"):
        answer = httpx.get(place.base + path, headers=cookie)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in")
    task = site.hand_over(place.steward, "tidy", {}, "Olga")
    answer = httpx.post(f"{place.base}/tasks/{task}/cancel", headers=cookie, data={"form_token": token})
    assert answer.headers["location"] == "/sign-in"
    assert place.steward.service.get_status(task).state == "queued"
    assert "Olga" not in httpx.get(f"{place.base}/problems/not-found", headers=cookie).text
    assert "Olga" not in httpx.get(f"{place.base}/nothing", headers=cookie).text


@pytest.mark.parametrize("by", ["key", "link"])
def test_narrowed_scopes_hold_in_sessions_that_are_open(place: Place, by: str) -> None:
    task = site.hand_over(place.steward, "tidy", {}, "somebody")
    with Person(place) as browser:
        if by == "key":
            browser.sign_in(site.key(place.steward, "Nina", *SCOPES))
        else:
            link = place.steward.ledger.apply(lambda c: access.create_link(c, "Nina", list(SCOPES)))
            browser.post(f"/sign-in/{link}", data={"form_token": token_of(browser.get(f"/sign-in/{link}"))})
        assert browser.get(f"/tasks/{task}").status_code == 200
        token = token_of(browser.get("/"))
        if by == "key":
            narrow(place.steward, "Nina", "read")
        else:
            place.steward.ledger.apply(lambda c: access.create_link(c, "Nina", ["read"]))
        assert browser.get(f"/tasks/{task}").status_code == 404
        assert browser.get("/outbox").status_code == 403
        assert browser.post(f"/tasks/{task}/cancel", data={"form_token": token}).status_code == 403
        assert "Outbox" not in words_of(browser.get("/"))


def rows() -> dict[tuple[str, str], dict[str, str]]:
    """Return the page's table of doors: what each scope may at each route."""
    found = {}
    for method, path, cells in re.findall(r"^\| `(GET|POST|DELETE) (\S+)` \|(.+)\|$", PAGE.read_text(), re.MULTILINE):
        found[method, path] = dict(zip(COLUMNS, (cell.strip() for cell in cells.split("|")), strict=True))
    return found


def test_the_page_names_every_route_and_no_other(tmp_path: Path) -> None:
    steward = Steward(load(data_dir=tmp_path / "data", free_space_mb=0))
    names = set(steward.registry.handlers)
    routes = {
        (method, route.path)
        for route in create(steward).router.routes
        for method in route.methods - {"HEAD"}
        if not (route.path.startswith("/v1/tasks/") and route.path.split("/")[3] in names)
    }
    steward.close()
    assert set(rows()) == routes


def test_the_page_names_every_command() -> None:
    commands = re.findall(r"^## `(steward [a-z ]+)`$", (PAGE.parents[1] / "commands.md").read_text(), re.MULTILINE)
    named = re.findall(r"`(steward [a-z ]+)`", PAGE.read_text().partition("| command |")[2].partition("\n\n")[0])
    assert sorted(named) == sorted(commands)
    assert len(commands) > 20


def test_the_page_names_every_scope_and_every_shipped_handler_with_whom_it_is_for(tmp_path: Path) -> None:
    text = PAGE.read_text()
    said = {
        name: scope
        for scope, names in re.findall(r"^\| `\"([a-z]+)\"`[^|]*\|[^|]*\|(.+)\|$", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    steward = Steward(load(data_dir=tmp_path / "data", free_space_mb=0))
    real = {name: handler.scope for name, handler in steward.registry.handlers.items()}
    steward.close()
    assert {name: scope for name, scope in said.items() if name != "quickbooks_expenses"} == real
    assert said["quickbooks_expenses"] == "operate"
    scopes = re.findall(
        r"^\| `([a-z]+)` \| [a-z]", text.partition("## Scopes")[2].partition("| `@handler")[0], re.MULTILINE
    )
    assert tuple(scopes) == SCOPES


DOORSTEP = ("/sign-in", "/sign-in/{token}", "/sign-out")
GRANT = {"grant": "DOL-1", "since": "2026-01-01"}
ADA = {"name": "Ada", "email": "ada@example.org"}


class Visitor:
    """Somebody with one scope, or none, who tries a route on a task and a schedule that they own or do not."""

    def __init__(self, place: Place, scope: str) -> None:
        self.steward, self.place, self.scope = place.steward, place, scope
        self.caller = Caller("stranger", "stranger", frozenset(SCOPES))
        self.key = ""
        if scope != NOBODY:
            self.key = site.key(place.steward, f"door {scope}", scope)
            self.caller = replace(site.holder(place.steward, f"door {scope}"), scopes=frozenset(SCOPES))

    def things(self, caller: Caller, path: str) -> dict[str, str]:
        """Make a task with a file and a schedule for `caller`; return their ids."""
        name, given = ("grant_report", GRANT) if self.scope in ("reports", "operate") else ("welcome_email", ADA)
        task = self.steward.service.submit(name, given, Options(caller=caller)).id
        site.add_file(self.steward, task, 1, "figures.csv", b"x")
        if path.endswith("retry"):
            site.set_task(self.steward, task, state="failed", error="It broke.")
        made = self.steward.schedules.make(name, given, "0 6 * * *", caller=caller)
        return {"task_id": task, "schedule_id": made.entry.id}

    def ask(self, browser: Person, token: str, method: str, path: str, things: dict[str, str]) -> httpx.Response:
        """Return what the route answers."""
        name, one = ("grant_report", GRANT) if self.scope in ("reports", "operate") else ("welcome_email", ADA)
        shown = "style.css" if "static" in path else "grant_report" if path.startswith("/ask") else name
        address = path.format(**things, n="1", token="x", kind="not-found", name="x" if "outbox" in path else shown)
        given: dict[str, Any] = {"follow_redirects": False}
        if path.startswith("/v1/") or path == "/openapi.json":
            given["headers"] = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            if method == "POST":
                order = {"name": name, "payload": one, "cron": "0 6 * * *"}
                given["json"] = order if path.endswith("schedules") else [one] if path.endswith("bulk") else one
        elif method == "POST":
            given["data"] = {"form_token": token, "key": "stw_wrong"}
        return browser.request(method, address, **given)


def is_right(cell: str, method: str, path: str, mine: httpx.Response, others: httpx.Response, scope: str) -> bool:
    """Whether a route did what the page says: on what is one's own, and on another's."""
    if path in DOORSTEP:
        return mine.status_code != 401
    led_away = mine.is_redirect and mine.headers["location"].startswith("/sign-in")
    refused = mine.status_code in (401, 403) or led_away
    if cell == "–":
        return refused
    if cell == "own" and ("task_id" in path or "schedule_id" in path):
        return not refused and mine.status_code < 400 and others.status_code == 404
    if path == "/ask/{name}" and scope == "send":
        return mine.status_code == 403
    # A form without its fields is drawn again; no letter has this name, and without a worker nothing is ready.
    odd = {"/ask/{name}": 422, "/readyz": 503}.get(path, 404 if path.startswith("/outbox/") else 200)
    return not refused and (mine.status_code < 400 or mine.status_code == odd)


@pytest.mark.parametrize("who", COLUMNS)
def test_each_route_admits_whom_the_page_says(place: Place, who: str) -> None:
    visitor, wrong = Visitor(place, who), []
    stranger = Caller("stranger", "stranger", frozenset(SCOPES))
    for (method, path), cells in rows().items():
        with Person(place) as browser:
            token = token_of(browser.sign_in(visitor.key)) if visitor.key and not path.startswith("/v1/") else ""
            mine, others = (
                visitor.ask(browser, token, method, path, visitor.things(owner, path))
                for owner in (visitor.caller, stranger)
            )
        if not is_right(cells[who], method, path, mine, others, who):
            wrong.append((method, path, cells[who], mine.status_code, others.status_code))
    assert not wrong
