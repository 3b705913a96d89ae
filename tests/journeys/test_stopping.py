"""A service told to stop (SIGTERM) leaves within half a minute: nothing lost, nothing done twice, the rest later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.installation import Installation
from tests.journeys.sending import account, sending
from tests.servers.scripted_smtp import Act, ScriptedSmtp
from tests.servers.smtp_sink import SmtpSink

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


def test_a_rolling_restart_under_load_loses_and_repeats_nothing(
    install: Install, engine: dict[str, Any], smtp_sink: Sink
) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, **engine)
    house.serve()
    worker = house.work()
    with sending(house, pace=60) as sender:
        for _ in range(2):
            reached = len(sender.accepted) + 40
            house.wait_until(lambda reached=reached: len(sender.accepted) >= reached, "more is accepted")  # type: ignore[misc]
            following = house.work()
            assert worker.terminate() < 30
            worker = following
    house.wait_settled()
    result = account(house, sink, sender)
    print(f"\ntwo rolling restarts; {result}")
    assert (result.lost, result.unexpected, result.duplicated, result.open) == (0, 0, 0, 0)
    assert {d.possible_duplicate for task in house.tasks() for d in task.deliveries} == {False}


def test_letters_on_the_wire_are_awaited_when_the_worker_is_told_to_stop(
    install: Install, engine: dict[str, Any]
) -> None:
    with ScriptedSmtp({"dot": Act(wait=3)}) as server:
        house = install(smtp_url=server.url(), **engine)
        worker = house.work()
        ids = house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(8)))
        house.wait_until(lambda: len(server.transactions) >= 4, "letters are on the wire")
        assert worker.terminate() < 30
        assert len([each for each in server.transactions if each.message]) <= 8
        house.work()
        for each in ids:
            task = house.wait_for(each)
            assert (task.state, task.deliveries[0].possible_duplicate) == ("succeeded", False)
        assert len(server.accepted) == 8


@pytest.mark.long
def test_what_does_not_end_in_time_goes_on_after_the_restart_and_is_not_held_against_it(
    install: Install, engine: dict[str, Any], tmp_path: Path
) -> None:
    house = install(**engine)
    worker, gate = house.work(), tmp_path / "gate"
    task_id = house.enqueue("wait_alone", file=str(tmp_path / "runs"), until=str(gate))
    house.wait_for(task_id, "running")
    assert worker.terminate() < 30
    task = house.task(task_id)
    assert (task.state, task.error, [a.outcome for a in task.attempts]) == ("queued", None, ["stopped"])
    gate.touch()
    house.work()
    task = house.wait_for(task_id)
    assert (task.state, [a.outcome for a in task.attempts]) == ("succeeded", ["stopped", "succeeded"])


def test_everything_that_up_started_leaves_with_it(install: Install, engine: dict[str, Any]) -> None:
    house = install(**engine)
    above = house.up(workers=2)
    children = house.children_of(above)
    assert len(children) == 3
    house.enqueue_many("nothing", ({"number": n} for n in range(200)))
    assert above.terminate() < 30
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert set(house.counts()) <= {"succeeded", "queued"}
    house.work()
    assert house.wait_settled() == {"succeeded": 200}
    assert {task.attempt for task in house.tasks()} <= {1, 2}
