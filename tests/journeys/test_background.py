"""The engine `background` through its real web server: honest about what a stop interrupts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.journeys.installation import Installation

Install = Callable[..., Installation]


def test_important_tasks_are_refused_unless_the_setting_says_otherwise(install: Install) -> None:
    house = install(engine="background")
    house.serve()
    answer = house.post("letter", {"to": "ada@example.org"})
    assert answer.status_code == 422
    assert "does not take letter" in answer.json()["detail"]
    assert "STEWARD_ALLOW_INTERRUPTIBLE" in answer.json()["remedy"]
    answer = house.post("unimportant_letter", {"to": "ada@example.org"})
    assert answer.status_code == 202
    assert house.wait_for(answer.json()["id"]).state == "succeeded"
    assert house.counts() == {"succeeded": 1}
    allowed = install("two", engine="background", allow_interruptible=True)
    allowed.serve()
    answer = allowed.post("letter", {"to": "ada@example.org"})
    assert allowed.wait_for(answer.json()["id"]).state == "succeeded"


def test_what_a_kill_interrupts_is_shown_as_interrupted_and_tried_again_only_by_choice(
    install: Install, tmp_path: Path
) -> None:
    house = install(engine="background", allow_interruptible=True)
    web, gate = house.serve(), tmp_path / "gate"
    running = house.post("wait_alone", {"file": str(tmp_path / "runs"), "until": str(gate)}).json()["id"]
    house.wait_for(running, "running")
    done = house.post("nothing", {}).json()["id"]
    assert house.wait_for(done).state == "succeeded"
    web.kill9()
    assert house.task(running).state == "running", "nobody is there to say otherwise"
    house.serve()
    task = house.task(running)
    assert (task.state, [a.outcome for a in task.attempts]) == ("interrupted", ["interrupted"])
    assert "The service stopped while this task was waiting or running" in (task.error or "")
    gate.touch()
    assert house.task(running).state == "interrupted"
    assert house.client.post(f"/v1/tasks/{running}/retry").status_code in (200, 202)
    assert house.wait_for(running).state == "succeeded"
    assert house.task(done).state == "succeeded"
    assert house.broken_rules() == []


@pytest.mark.long
def test_what_a_stop_interrupts_is_shown_as_interrupted(install: Install, tmp_path: Path) -> None:
    house = install(engine="background", allow_interruptible=True)
    web = house.serve()
    running = house.post("wait_alone", {"file": str(tmp_path / "runs"), "until": str(tmp_path / "gate")}).json()["id"]
    house.wait_for(running, "running")
    web.terminate(45)
    house.serve()
    assert house.task(running).state == "interrupted"


def test_what_it_cannot_do_is_refused_over_http(install: Install) -> None:
    house = install(engine="background", allow_interruptible=True)
    house.serve()
    for options in ({"run_at": "2099-01-01T00:00:00Z"}, {"priority": 7}):
        answer = house.post("letter", {"to": "ada@example.org"}, **options)
        assert answer.status_code == 422, answer.text
        assert "STEWARD_ENGINE=durable" in answer.json()["remedy"]
    assert house.counts() == {}
