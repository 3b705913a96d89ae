"""Alerts as operators get them: a letter that says what to look at, and a call that says the same."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.ports import free_port

from steward import Options, TaskResult
from steward.errors import InvalidPayload, NotPermitted
from steward.installation.maintenance import operations_for
from steward.installation.settings import load
from steward.model.caller import COMMAND_LINE, SCOPES, Caller
from steward.plugins.run_result import HandlerRequest
from steward.system.clock import new_id, now
from steward.worker.dry_run import DryRun, apart, trial

TOLD = {
    "what": "Backup failed",
    "reason": "There is no room left on the disk.",
    "since": "2026-11-20T03:45:00Z",
    "link": "https://steward.example.org/tasks/1",
}


@pytest.fixture
def told_at(tmp_path: Path) -> Iterator[Callable[[str], DryRun]]:
    """Return an installation whose alerts go to these addresses."""
    with ExitStack() as stack:
        yield lambda urls: stack.enter_context(trial(apart(load(alert_urls=urls), tmp_path)))


@pytest.fixture
def place(told_at: Callable[[str], DryRun]) -> DryRun:
    return told_at("")


def test_the_letter_names_what_failed_why_and_where_to_look(place: DryRun) -> None:
    hostile = TOLD | {
        "what": "Roster failed 3 times",
        "reason": "<b>{{ 7*7 }}</b>",
        "all": "https://x.example/?a=1&b=2",
    }
    place.service.enqueue("alert", to=["ops@example.org", "office@example.org"], incidents=[TOLD, hostile], more=4)
    letters = place.messages()
    assert sorted(letter.to for letter in letters) == ["office@example.org", "ops@example.org"]
    letter = letters[0]
    assert letter.subject == "Backup failed (and 5 more)"
    for words in ("There is no room left", TOLD["link"], "2026-11-20 03:45:00 UTC", "And 4 more", "<b>{{ 7*7 }}</b>"):
        assert words in letter.text
    assert letter.html is not None
    assert "&lt;b&gt;{{ 7*7 }}&lt;/b&gt;" in letter.html
    assert "https://x.example/?a=1&amp;b=2" in letter.html


def test_without_apprise_the_task_says_what_to_type(
    told_at: Callable[[str], DryRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    task = tell(told_at("json://127.0.0.1"))
    assert task.state == "failed"
    assert "pip install 'steward-tasks[alerts]'" in (task.error or "")


def tell(place: DryRun, number: int = 1) -> TaskResult:
    return place.service.get_status(place.service.enqueue("alert_webhook", number=number, title="x", body="y"))


def test_an_address_that_does_not_answer_is_tried_again_and_not_shown(told_at: Callable[[str], DryRun]) -> None:
    task = tell(told_at(f"json://127.0.0.1:{free_port()}/s3cret-token"))
    assert task.state == "retrying"
    assert "s3cret" not in f"{task.error}{task.payload}"


def test_an_address_that_is_none_is_refused_for_good(told_at: Callable[[str], DryRun]) -> None:
    task = tell(told_at("nonsense-s3cret"))
    assert task.state == "failed"
    assert "Apprise" in (task.error or "")
    assert "s3cret" not in (task.error or "")


def test_an_address_is_one_of_the_settings_or_none(told_at: Callable[[str], DryRun]) -> None:
    place = told_at(f"json://127.0.0.1:{free_port()}")
    task = tell(place, 2)
    assert task.state == "failed"
    assert "STEWARD_ALERT_URLS names no address number 2" in (task.error or "")
    for payload in ({"url": "json://127.0.0.1/x?method=GET"}, {"number": 1, "url": {"$secret": 0}}, {"number": 0}):
        with pytest.raises(InvalidPayload):
            place.service.enqueue("alert_webhook", payload | {"title": "x", "body": "y"})


def test_a_task_of_before_goes_to_an_address_of_the_settings(told_at: Callable[[str], DryRun]) -> None:
    place, heard = told_at("nonsense"), now()
    stored = '{"url": {"$secret": 0}, "title": "x", "body": "y"}'
    request = HandlerRequest(new_id(), "alert_webhook", stored, ["json://evil.example/"], heard)
    outcome = place.steward.preparer({"operations": operations_for(place.steward)}).prepare(request)
    assert "An address in STEWARD_ALERT_URLS is not one that Apprise knows" in outcome.words


@pytest.mark.parametrize("name", ["alert", "alert_webhook"])
def test_nobody_asks_for_an_alert_from_outside(place: DryRun, name: str) -> None:
    handler = place.steward.registry.get(name)
    assert handler.scope == "internal"
    everything = Caller("k", "k", frozenset(SCOPES))
    for caller in (COMMAND_LINE, everything):
        with pytest.raises(NotPermitted, match=f"Nobody may ask for {name}"):
            place.service.submit(name, handler.example, Options(caller=caller))
