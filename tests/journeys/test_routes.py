"""Every route as a table: which methods work, which parameters there are, and which examples are accepted."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, computed_field
from pydantic.alias_generators import to_camel
from tests.journeys import web_site as site

from steward import Email, Options, Private, Secret, handler, hookimpl
from steward.installation.container import Steward
from steward.installation.settings import load, shipped
from steward.model.caller import SCOPES
from steward.model.service import Query
from steward.plugins.registry import load as load_plugins
from steward.storage.tasks import search
from steward.web.api import openapi
from steward.web.api.models.problems import ProblemModel
from steward.web.api.route import Route
from steward.web.app import create
from steward.web.pages import forms

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
ADA = {"name": "Ada Lovelace", "email": "ada@example.org"}


def no_dots(secret: Secret) -> Secret:
    """Return `secret` if it is made as ours are."""
    if not secret.reveal().startswith("code-"):
        raise ValueError("must begin with code-")
    return secret


Code = Annotated[Secret, AfterValidator(no_dots)]


class Door(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    inner_code: Code
    holder_name: Private = Field(min_length=3)


class Visit(BaseModel):
    """Secrets at every depth, names that are read otherwise than they are written, and a field that is computed."""

    model_config = ConfigDict(extra="forbid")

    email: str
    code: Code = Field(validation_alias=AliasChoices("doorCode", "code"), serialization_alias="printed")
    visitor: Private = Field(min_length=3)
    doors: list[Door] = []
    spare: Code = Secret("code-spare")
    default: Code = Secret("code-default")
    until: date | None

    @computed_field
    def shown(self) -> str:
        return self.email.upper()


FIRST = Visit(
    email="ada@example.org",
    code=Secret("code-4711"),
    visitor="Ada Lovelace",
    until=None,
    doors=[Door(innerCode=Secret("code-1"), holderName="Grace")],
)


@handler(example=FIRST)
def visit(visit: Visit) -> Email:
    """Let somebody in."""
    return Email(to=visit.email, template="welcome_email", context=visit)


@hookimpl
def register_handlers() -> list[Any]:
    return [visit]


PLUGIN = types.ModuleType("visits")
PLUGIN.register_handlers = register_handlers  # type: ignore[attr-defined]  # a module made by hand


class Place:
    """An installation with the shipped plugins and one that has secrets, behind a server, and a key that may all."""

    def __init__(self, steward: Steward, base: str) -> None:
        self.steward, self.base = steward, base
        self.key = site.key(steward, "everything", *SCOPES)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    def count(self) -> int:
        return len(self.steward.service.find(Query(limit=500)).tasks)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("routes")
    steward = Steward(load(data_dir=folder / "data", free_space_mb=0))
    steward.registry = load_plugins([shipped("plugins")], entry_points=False, extra=(PLUGIN,))
    with site.serving(steward) as base:
        yield Place(steward, base)


def addresses(place: Place) -> list[str]:
    """Return an address for every route, and for every kind of thing that its parameters may name."""
    caller = site.holder(place.steward, "everything")
    task = place.steward.service.submit("welcome_email", ADA, Options(caller=caller)).id
    site.add_file(place.steward, task, 1, "figures.csv", b"x")
    made = place.steward.schedules.make("welcome_email", ADA, "0 6 * * *", caller=caller)
    things = {"n": ["1"], "kind": ["not-found"], "token": ["x"], "schedule_id": [made.entry.id]}
    words = ["welcome_email", "backup", "nobody_knows_this", task]
    found = []
    for route in create(place.steward).router.routes:
        each = [route.path]  # type: ignore[attr-defined]  # every route of ours has one
        for name in ("n", "kind", "token", "schedule_id", "task_id", "name"):
            given = things.get(name, words)
            each = [path.replace(f"{{{name}}}", word) for path in each for word in (given if name in path else [""])]
        found += each
    return sorted(set(found))


def test_allow_names_exactly_the_methods_that_work_at_every_address(place: Place) -> None:
    wrong, seen = [], 0
    with place.client() as client:
        for address in addresses(place):
            answers = {method: client.request(method, address) for method in METHODS}
            if answers["OPTIONS"].status_code == 404:
                seen += all(answer.status_code == 404 for answer in answers.values())
                continue
            works = {method for method, answer in answers.items() if answer.status_code != 405}
            told = {
                method: set(answer.headers["allow"].split(", "))
                for method, answer in answers.items()
                if answer.status_code == 405 or method == "OPTIONS"
            }
            same = "GET" not in works or (
                answers["HEAD"].status_code == answers["GET"].status_code and not answers["HEAD"].content
            )
            problems = [
                m for m, a in answers.items() if a.status_code == 405 and m != "HEAD" and "remedy" not in a.text
            ]
            if any(names != works for names in told.values()) or not same or problems:
                wrong.append((address, works, told))
            seen += 1
    assert not wrong
    assert seen == len(addresses(place)) > 60


def test_names_and_ids_that_share_an_address_are_told_apart(place: Place) -> None:
    caller = site.holder(place.steward, "everything")
    task = place.steward.service.submit("welcome_email", ADA, Options(caller=caller)).id
    schedule = place.steward.schedules.make("welcome_email", ADA, "0 6 * * *", caller=caller).entry.id
    right = {
        f"/v1/tasks/{task}": "GET, HEAD, OPTIONS",
        "/v1/tasks/welcome_email": "OPTIONS, POST",
        "/v1/tasks/welcome_email/bulk": "OPTIONS, POST",
        "/v1/tasks": "GET, HEAD, OPTIONS",
        "/v1/schedules": "GET, HEAD, OPTIONS, POST",
        f"/v1/schedules/{schedule}": "DELETE, GET, HEAD, OPTIONS",
        "/ask/grant_report": "GET, HEAD, OPTIONS, POST",
        "/sign-in": "GET, HEAD, OPTIONS, POST",
        "/": "GET, HEAD, OPTIONS",
    }
    with place.client() as client:
        assert {path: client.put(path).headers["allow"] for path in right} == right
        assert client.get("/v1/tasks/welcome_email").status_code == 405
        assert client.post(f"/v1/tasks/{task}", json=ADA).status_code == 405
        assert client.head(f"/v1/tasks/{task}").status_code == 200
        assert client.options(f"/v1/tasks/{task}").status_code == 204
        assert client.options("/v1/nothing").status_code == 404


def test_a_stranger_learns_no_name_from_allow(place: Place) -> None:
    def told(name: str) -> dict[str, tuple[int, str | None]]:
        answers = {method: httpx.request(method, f"{place.base}/v1/tasks/{name}") for method in METHODS}
        return {method: (answer.status_code, answer.headers.get("allow")) for method, answer in answers.items()}

    assert told("backup") == told("nobody_knows_this")
    assert told("backup/bulk") == told("nobody_knows_this/bulk")


def test_to_look_at_a_files_headers_is_not_to_take_it(place: Place) -> None:
    caller = site.holder(place.steward, "everything")
    task = place.steward.service.submit("welcome_email", ADA, Options(caller=caller)).id
    site.add_file(place.steward, task, 1, "figures.csv", b"a;b\r\n")
    with place.client() as client:
        looked = client.head(f"/v1/tasks/{task}/artifacts/1")
        assert not actions(place, task)
        taken = client.get(f"/v1/tasks/{task}/artifacts/1")
    assert (looked.status_code, looked.content) == (200, b"")
    for name in ("content-length", "content-disposition", "content-type", "etag"):
        assert looked.headers[name] == taken.headers[name]
    assert actions(place, task) == ["downloaded"]


def actions(place: Place, task_id: str) -> list[str]:
    """Return what people did with a task."""
    with place.steward.ledger.read() as connection:
        history = search.history(connection, task_id)
    return [str(each["action"]) for each in history if each["action"] == "downloaded"]


def interface(place: Place) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each method and address under /v1, with its query parameters: true for what may come more than once."""
    return [
        (method, route.path, route.takes)
        for route in create(place.steward).router.routes
        if isinstance(route, Route) and route.path.startswith("/v1/")
        for method in sorted(route.methods)
    ]


def test_what_no_parameter_can_mean_is_refused_at_every_route(place: Place) -> None:
    before, wrong, tried = place.count(), [], 0
    with place.client() as client:
        for method, path, declared in interface(place):
            cases = [("nonsense", "nonsense=1"), ("nonsense", "nonsense="), ("Run_At", "Run_At=2036-01-01T00:00:00Z")]
            for name, many in declared.items():
                cases += [(name, f"{name}="), (name, name), (name, f"{name}=%20"), (name, f"{name}=%00")]
                cases += [(name, f"{name}=1&{name}=")] + ([] if many else [(name, f"{name}=1&{name}=1")])
                cases += [(name, f"{name}=failed,"), (name, f"{name}=,failed")] if many else []
            for name, query in cases:
                answer = client.request(method, f"{path}?{query}", json=ADA)
                tried += 1
                if method == "HEAD":
                    right = answer.status_code == 422
                else:
                    said = answer.json()
                    right = (
                        answer.status_code == 422
                        and urlsplit(said["type"]).path == "/problems/invalid-option"
                        and f"'{name}'" in said["detail"]
                        and bool(said["remedy"])
                    )
                if not right:
                    wrong.append((method, path, query, answer.status_code, answer.text))
        assert client.get("/openapi.json?nonsense=1").status_code == 422
    assert not wrong
    assert tried > 300
    assert place.count() == before


def test_every_route_that_hands_over_has_the_same_parameters(place: Place) -> None:
    handing = {"run_at", "expires_at", "priority"}
    for method, path, declared in interface(place):
        parts = path.split("/")
        is_one = method == "POST" and parts[2] == "tasks" and parts[-1] not in ("cancel", "retry")
        assert set(declared) == (handing if is_one else set(declared) - handing), path


def test_a_parameter_that_may_be_given_several_times_may(place: Place) -> None:
    with place.client() as client:
        assert client.get("/v1/tasks?state=failed&state=queued").status_code == 200
        assert client.get("/v1/tasks?state=failed,queued").status_code == 200


def test_a_key_is_given_once_and_whole(place: Place) -> None:
    before = place.count()
    order = {"name": "welcome_email", "payload": ADA, "cron": "0 6 * * *"}
    with place.client() as client:
        for path, body in (("/v1/tasks/welcome_email", ADA), ("/v1/schedules", order)):
            for keys in ([""], ["x" * 256], ["one", "two"]):
                headers = httpx.Headers([*client.headers.items(), *(("Idempotency-Key", key) for key in keys)])
                answer = client.post(path, json=body, headers=headers)
                assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, "invalid-option")
    assert place.count() == before


def test_every_example_of_the_document_is_accepted_as_it_stands(place: Place) -> None:
    tried, wrong = set(), []
    with place.client() as client:
        document = client.get("/openapi.json").json()
        for path, methods in document["paths"].items():
            for method, said in methods.items():
                content = said.get("requestBody", {}).get("content", {}).get("application/json")
                if content is None:
                    continue
                assert "example" in content, f"{method} {path} shows no example"
                answer = client.request(method, path, json=content["example"])
                tried.add(path)
                # An alert needs an address in the settings; one address gets one link in a minute.
                documented = answer.status_code == 429 and path.startswith("/v1/tasks/password_reset")
                if not (answer.status_code in (201, 202) or documented):
                    wrong.append((path, answer.status_code, answer.text))
    asked = {name for name, each in place.steward.registry.handlers.items() if each.scope != "internal"}
    assert not wrong
    assert {f"/v1/tasks/{name}{bulk}" for name in asked for bulk in ("", "/bulk")} | {"/v1/schedules"} == tried
    assert "/v1/tasks/visit" in tried


def test_every_answer_is_what_its_model_describes(place: Place) -> None:
    caller = site.holder(place.steward, "everything")
    task = place.steward.service.submit("welcome_email", ADA, Options(caller=caller)).id
    site.add_file(place.steward, task, 1, "figures.csv", b"x")
    site.add_delivery(place.steward, task, 1, "ada@example.org", "accepted", 250, "ok")
    schedule = place.steward.schedules.make("membership_summary", {"start": "2026-01-01", "end": "2026-01-31"},
                                            "0 6 1 * *", caller=caller).entry.id  # fmt: skip
    place.steward.schedules.run(schedule, caller=caller)
    things = {"task_id": task, "schedule_id": schedule, "n": "1"}
    seen: set[type] = set()
    with place.client() as client:
        for route in create(place.steward).router.routes:
            if not isinstance(route, Route) or route.response_model is None or route.methods != {"GET"}:
                continue
            answer = client.get(route.path.format(**things))
            model = route.response_model
            assert model.model_validate_json(answer.content).model_dump_json(by_alias=True) == answer.text
            seen.add(model)
    assert {"TaskModel", "TasksModel", "ScheduleHistoryModel", "SchedulesModel", "HandlersModel", "PluginsModel"} == {
        each.__name__ for each in seen
    }


def test_the_document_names_each_operation_once_and_no_error_of_another_shape(place: Place) -> None:
    with place.client() as client:
        document = client.get("/openapi.json").json()
        said = [each for methods in document["paths"].values() for each in methods.values()]
        assert len({each["operationId"] for each in said}) == len(said)
        assert all(each["operationId"].isidentifier() for each in said)
        assert all(each["security"] == [{"key": []}] for each in said)
        assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()
        for each in said:
            assert {"401", "422", "503"} <= each["responses"].keys(), each["operationId"]
            for status, answer in each["responses"].items():
                content = answer.get("content", {})
                assert (list(content) == ["application/problem+json"]) == (status >= "4"), (each["operationId"], status)
        problem = client.get("/v1/tasks?limit=0")
        assert ProblemModel.model_validate_json(problem.content).status == 422
        assert problem.json().keys() <= ProblemModel.model_fields.keys()


def test_the_list_of_handlers_shows_the_same_examples(place: Place) -> None:
    with place.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
        for each in client.get("/v1/handlers").json()["handlers"]:
            content = paths[f"/v1/tasks/{each['name']}"]["post"]["requestBody"]["content"]["application/json"]
            assert each["example"] == content["example"]
            assert "•" not in str(each)
        assert "•" not in client.get("/openapi.json").text
    assert place.steward.service.prepare("visit", openapi.example(visit), Options()).payload


def test_a_form_that_is_sent_as_its_placeholders_show_is_accepted() -> None:
    drawn = forms.fields(Visit.model_json_schema(by_alias=True) | {"example": openapi.example(visit)})
    shown = {field.name: field for field in drawn}
    assert "•" not in "".join(f"{field.placeholder}{field.value}" for field in drawn)
    typed = {name: [field.placeholder] for name, field in shown.items() if field.placeholder}
    typed |= {name: ["code-4711"] for name, field in shown.items() if field.kind == "password" and field.required}
    payload, problems = forms.payload(drawn, typed)
    assert not problems
    assert Visit.model_validate(payload | {"until": None}).doors == FIRST.doors
