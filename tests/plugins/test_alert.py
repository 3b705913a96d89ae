"""Alerts as operators get them: a letter that says what to look at, and a call that says the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.ports import free_port

from steward.settings import load
from steward.trial import Trial, apart, trial

TOLD = {
    "what": "Backup failed",
    "reason": "There is no room left on the disk.",
    "since": "2026-11-20T03:45:00Z",
    "link": "https://steward.example.org/tasks/1",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Trial]:
    with trial(apart(load(), tmp_path)) as made:
        yield made


def test_the_letter_names_what_failed_why_and_where_to_look(place: Trial) -> None:
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


def test_without_apprise_the_task_says_what_to_type(place: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    task_id = place.service.enqueue("alert_webhook", url="json://127.0.0.1", title="x", body="y")
    task = place.service.get_status(task_id)
    assert task.state == "failed"
    assert "pip install 'steward-tasks[alerts]'" in task.error


def test_an_address_that_does_not_answer_is_tried_again_and_not_shown(place: Trial) -> None:
    url = f"json://127.0.0.1:{free_port()}/s3cret-token"
    task = place.service.get_status(place.service.enqueue("alert_webhook", url=url, title="x", body="y"))
    assert task.state == "retrying"
    assert "s3cret" not in f"{task.error}{task.payload}"


def test_an_address_that_is_none_is_refused_for_good(place: Trial) -> None:
    task = place.service.get_status(place.service.enqueue("alert_webhook", url="nonsense-s3cret", title="x", body="y"))
    assert task.state == "failed"
    assert "Apprise" in task.error
    assert "s3cret" not in task.error
