"""The router in somebody else's FastAPI application: ours works under its prefix, and theirs is left as it was."""

from __future__ import annotations

import asyncio
import html
import os
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from tests.journeys import web_site as site
from tests.journeys.test_pages import BROWSER, token_of

import steward.web
from steward.client import Client

ROOT = Path(__file__).parents[2]
ADA = {"name": "Ada", "email": "ada@example.org"}
PREFIX = "/members/notices"


class Task(BaseModel):
    """Theirs, which is called as one of ours."""

    hours: int


class Problem(BaseModel):
    """Theirs as well."""

    trouble: str


class Theirs:
    """An application with error handlers, a lifespan and models of its own, and our router under a prefix."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.steward = site.install(folder, engine="background", allow_interruptible=True, **settings)
        self.life: list[str] = []
        self.app = FastAPI(title="Members", lifespan=self._lifespan)
        self.app.add_exception_handler(HTTPException, self._handled)
        self.app.add_exception_handler(RequestValidationError, self._handled)
        self.app.add_exception_handler(Exception, self._handled)
        self.app.get("/")(self._start)
        self.app.get("/hours/{n}", responses={418: {"model": Problem}})(self._hours)
        self.app.include_router(steward.web.router(self.steward), prefix=PREFIX)
        self.key = site.key(self.steward, "everything", "send", "read", "reports", "operate")

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[dict[str, str]]:
        self.life.append("begun")
        yield {"theirs": "kept"}
        self.life.append("ended")

    async def _handled(self, request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"theirs": type(error).__name__}, 418)

    async def _start(self) -> str:
        return "the members' start"

    async def _hours(self, n: int) -> Task:
        if n == 0:
            raise HTTPException(404)
        return Task(hours=10 // (n - 1))

    def client(self, base: str, *, key: str | None = None) -> httpx.Client:
        """Return a client of what is below the prefix."""
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        return httpx.Client(base_url=f"{base}{PREFIX}", headers=headers, timeout=30)


class Place:
    """Their application behind a server."""

    def __init__(self, theirs: Theirs, base: str) -> None:
        self.theirs, self.base, self.steward = theirs, base, theirs.steward


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    theirs = Theirs(tmp_path_factory.mktemp("theirs"))
    with site.serving(theirs.steward, theirs.app) as base:
        yield Place(theirs, base)
    assert theirs.life == ["begun", "ended"]


def test_a_task_is_accepted_performed_and_found_under_the_prefix(place: Place) -> None:
    with place.theirs.client(place.base) as client:
        answer = client.post("/v1/tasks/welcome_email", json=ADA)
        assert answer.status_code == 202
        assert answer.headers["location"] == f"{PREFIX}/v1/tasks/{answer.json()['id']}"
        found = client.get(f"{place.base}{answer.headers['location']}").json()
        assert found["id"] == answer.json()["id"]
        made = client.post("/v1/schedules", json={"name": "welcome_email", "payload": ADA, "cron": "0 6 * * *"})
        assert made.status_code == 422, "the engine in the web process has no schedules"
    with Client(f"{place.base}{PREFIX}", place.theirs.key) as ours:
        task = ours.wait(answer.json()["id"], timeout=60)
        assert task.state == "succeeded", "its lifespan began what performs tasks"
        assert [copy.outcome for copy in task.deliveries] == ["captured"]


def test_our_errors_are_problem_documents_and_theirs_are_theirs(place: Place) -> None:
    with place.theirs.client(place.base) as client:
        refused = {
            401: httpx.get(f"{place.base}{PREFIX}/v1/tasks"),
            404: client.get("/v1/tasks/nothing"),
            405: client.put("/v1/tasks"),
            422: client.get("/v1/tasks?limit=0"),
            400: client.post("/v1/tasks/welcome_email", content=b"{", headers={"Content-Type": "application/json"}),
        }
        for status, answer in refused.items():
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
            assert answer.json()["type"].startswith(f"{PREFIX}/problems/")
            assert answer.headers["x-content-type-options"] == "nosniff"
            page = httpx.get(f"{place.base}{answer.json()['type']}", headers=BROWSER)
            assert page.status_code == 200, "the type's address explains it"
        assert refused[405].headers["allow"] == "GET, HEAD, OPTIONS"
        assert refused[401].headers["www-authenticate"].startswith("Bearer")
    theirs = {"/hours/0": "HTTPException", "/hours/x": "RequestValidationError", "/hours/1": "ZeroDivisionError"}
    for path, error in theirs.items():
        answer = httpx.get(f"{place.base}{path}")
        assert (answer.status_code, answer.json()) == (418, {"theirs": error})
        assert "content-security-policy" not in answer.headers
    assert httpx.get(f"{place.base}/").json() == "the members' start"


def test_allow_names_the_methods_of_an_address_under_the_prefix(place: Place) -> None:
    with place.theirs.client(place.base) as client:
        known = client.post("/v1/tasks/welcome_email", json=ADA).json()["id"]
        told = {
            path: client.request("DELETE", path).headers.get("allow")
            for path in (f"/v1/tasks/{known}", "/v1/tasks/welcome_email", "/v1/schedules", "/sign-in", "/")
        }
        assert client.head(f"/v1/tasks/{known}").status_code == 200
        assert client.options("/v1/tasks/welcome_email").status_code == 204
    assert told == {
        f"/v1/tasks/{known}": "GET, HEAD, OPTIONS",
        "/v1/tasks/welcome_email": "OPTIONS, POST",
        "/v1/schedules": "GET, HEAD, OPTIONS, POST",
        "/sign-in": "GET, HEAD, OPTIONS, POST",
        "/": "GET, HEAD, OPTIONS",
    }


def test_every_link_of_a_page_stays_under_the_prefix(place: Place) -> None:
    seen: set[str] = set()
    with httpx.Client(base_url=place.base, headers=BROWSER, follow_redirects=True, timeout=30) as person:
        form = person.get(f"{PREFIX}/tasks/nothing")
        assert form.url.path == f"{PREFIX}/sign-in"
        wanted = html.unescape(re.findall(r'name="next" value="([^"]*)"', form.text)[0])
        sent = {"form_token": token_of(form), "key": place.theirs.key, "next": wanted}
        assert person.post(f"{PREFIX}/sign-in", data=sent).url.path == f"{PREFIX}/tasks/nothing"
        asked = person.get(f"{PREFIX}/ask/grant_report")
        filled = {"form_token": token_of(asked), "grant": "DOL-1", "since": "2026-01-01", "formats": "csv"}
        task = person.post(f"{PREFIX}/ask/grant_report", data=filled)
        assert task.url.path.startswith(f"{PREFIX}/tasks/")
        left = [f"{PREFIX}/"]
        while left:
            page = person.get(left.pop())
            assert page.status_code in (200, 404), page.url
            if "text/html" not in page.headers["content-type"] or page.url.path.endswith("/html"):
                continue  # a file, or a letter, whose links lead where its writer likes
            for kind, address in re.findall(r'(href|src|action)="([^"]*)"', page.text):
                address = html.unescape(address)
                assert address.startswith((f"{PREFIX}/", "#", "mailto:")), f"{page.url.path} leads to {address}"
                if kind != "action" and address.startswith(PREFIX) and address not in seen:
                    seen.add(address)
                    left.append(address)
        out = person.post(f"{PREFIX}/sign-out", data={"form_token": token_of(task)})
        assert out.url.path == f"{PREFIX}/sign-in"
    kinds = {address.removeprefix(f"{PREFIX}/").partition("/")[0].partition("?")[0] for address in seen}
    assert {"", "ask", "tasks", "plugins", "outbox", "static", "schedules"} <= kinds


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from references(each)


def test_their_document_describes_ours_and_theirs(place: Place) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # FastAPI warns of an operation's id that is there twice
        document = place.theirs.app.openapi()
    schemas, paths = document["components"]["schemas"], document["paths"]
    assert {each.rpartition("/")[2] for each in references(document)} <= schemas.keys()
    ours = {path: said for path, said in paths.items() if path.startswith(PREFIX)}
    assert f"{PREFIX}/v1/tasks/welcome_email/bulk" in ours
    assert f"{PREFIX}/v1/tasks/alert" not in ours, "the service's own"
    assert not [path for path in ours if not path.startswith(f"{PREFIX}/v1/")], "pages are not described"
    assert "choices_query" not in str(document)
    operations = [said for methods in paths.values() for said in methods.values()]
    assert max(Counter(said["operationId"] for said in operations).values()) == 1
    names = {"ours": set(), "theirs": set()}  # type: ignore[var-annotated]
    for path, methods in paths.items():
        for said in methods.values():
            for status, answer in said["responses"].items():
                if status.startswith(("4", "5")):
                    kind = "ours" if path in ours else "theirs"
                    names[kind] |= {(media, str(list(references(answer)))) for media in answer["content"]}
    ((media, problem),) = names["ours"]
    assert media == "application/problem+json"
    assert schemas[problem.strip("[]'").rpartition("/")[2]]["required"] == ["type", "title", "status", "detail"]
    assert {media for media, _ in names["theirs"]} == {"application/json"}
    theirs = paths["/hours/{n}"]["get"]["responses"]
    for status, fields in (("200", {"hours"}), ("418", {"trouble"})):
        (reference,) = references(theirs[status])
        assert schemas[reference.rpartition("/")[2]]["properties"].keys() == fields
    body = ours[f"{PREFIX}/v1/tasks/grant_report"]["post"]["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/grant_report"}
    assert schemas["grant_report"]["properties"]["period"]["$ref"] == "#/components/schemas/grant_report-Period"
    assert ours[f"{PREFIX}/v1/tasks"]["get"]["security"] == [{"key": []}]


def test_only_the_interface_can_be_taken_and_their_own_dependencies_come_first(tmp_path: Path) -> None:
    class Barred(Exception):
        pass

    async def pass_of(x_pass: Annotated[str, Header()]) -> None:
        if x_pass == "barred":
            raise Barred
        if x_pass != "open":
            raise HTTPException(403, "theirs")

    installation = site.install(tmp_path)
    app = FastAPI()
    app.add_exception_handler(Barred, lambda request, error: JSONResponse("barred", 451))
    app.include_router(steward.web.router(installation, pages=False), prefix="/n", dependencies=[Depends(pass_of)])
    key = site.key(installation, "k", "read")

    async def ask() -> dict[str, tuple[int, str]]:
        found = {}
        transport = httpx.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {key}"}
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as web:
            for name, more in (
                ("no", {}),
                ("wrong", {"X-Pass": "shut"}),
                ("barred", {"X-Pass": "barred"}),
                ("right", {"X-Pass": "open"}),
            ):
                answer = await web.get("/n/v1/tasks", headers=headers | more)
                found[name] = (answer.status_code, answer.headers["content-type"])
            for path in ("/n/", "/n/sign-in", "/n/static/style.css"):
                found[path] = ((await web.get(path, headers={"X-Pass": "open"})).status_code, "")
        return found

    try:
        found = asyncio.run(ask())
    finally:
        installation.close()
    problem = "application/problem+json"
    assert found["no"] == (422, problem), "not in FastAPI's own shape"
    assert found["wrong"] == (403, "application/json"), "what a dependency of theirs raises is theirs"
    assert found["barred"] == (451, "application/json")
    assert found["right"] == (200, "application/json")
    assert [found[path][0] for path in ("/n/", "/n/sign-in", "/n/static/style.css")] == [404, 404, 404]


def test_an_application_that_is_mounted_itself_and_a_public_address_make_right_links(tmp_path: Path) -> None:
    installation = site.install(tmp_path, base_url="https://members.example.org/portal/notices")
    inner, outer = FastAPI(), FastAPI()
    inner.include_router(steward.web.router(installation), prefix="/notices")
    outer.mount("/portal", inner)
    key = site.key(installation, "k", "send", "read")

    async def ask() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(app=outer)
        async with (
            inner.router.lifespan_context(inner),
            httpx.AsyncClient(transport=transport, base_url="http://t") as web,
        ):
            headers = {"Authorization": f"Bearer {key}"}
            task = await web.post("/portal/notices/v1/tasks/welcome_email", json=ADA, headers=headers)
            return task, await web.get("/portal/notices/v1/tasks/x", headers=headers), await web.get("/portal/notices/")

    try:
        task, problem, page = asyncio.run(ask())
    finally:
        installation.close()
    assert task.headers["location"] == f"/portal/notices/v1/tasks/{task.json()['id']}"
    assert problem.json()["type"] == "https://members.example.org/portal/notices/problems/unknown-task"
    assert problem.headers["strict-transport-security"]
    assert page.headers["location"] == "/portal/notices/sign-in"


def test_what_nobody_foresaw_is_a_problem_document_with_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = Theirs(tmp_path)

    def broken(*args: Any, **given: Any) -> None:
        raise RuntimeError("a secret word")

    async def ask() -> httpx.Response:
        app = theirs.app
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as web:
            monkeypatch.setattr(theirs.steward.service, "find", broken)
            return await web.get(f"{PREFIX}/v1/tasks", headers={"Authorization": f"Bearer {theirs.key}"})

    try:
        answer = asyncio.run(ask())
    finally:
        theirs.steward.close()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] in caplog.text
    assert "a secret word" not in answer.text + caplog.text


def test_the_page_about_the_interface_shows_how_to_include_the_router(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8").partition("## In your own application")[2]
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    check = """
import asyncio, httpx
async def ask():
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as web:
        print((await web.get("/notices/livez")).json(), (await web.get("/notices/v1/tasks")).status_code)
        print((await web.post("/joined")).status_code)
asyncio.run(ask())
print(len(notices.service.find().tasks))
notices.close()
"""
    environment = {
        "PATH": os.environ["PATH"],
        "STEWARD_DATA_DIR": str(tmp_path / "data"),
        "STEWARD_FREE_SPACE_MB": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", program + check],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "{'status': 'alive'} 401\n200\n1\n", done.stderr
