"""Tasks that kill their process, hang, or eat memory: stopped in time, with the reason, and their neighbours finish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.installation import Installation
from tests.servers.ports import wait_until
from tests.servers.smtp_sink import SmtpSink

from steward.model.states import MAX_STARTS

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


def runs(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def neighbours(house: Installation, count: int) -> list[str]:
    return house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(count)))


def test_a_task_that_kills_its_process_is_given_up_after_four_starts_and_its_neighbours_finish(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, tmp_path: Path
) -> None:
    sink, file = smtp_sink(), tmp_path / "runs"
    house = install(smtp_url=sink.url, **engine)
    before = neighbours(house, 20)
    pill = house.enqueue("die", file=str(file))
    after = neighbours(house, 20)
    worker = house.work()
    task = house.wait_for(pill, seconds=60)
    assert task.state == "failed"
    assert f"Stopped after {MAX_STARTS} starts" in (task.error or "")
    assert "ended its process" in (task.error or "")
    assert 1 <= runs(file) <= MAX_STARTS + 1  # once in its batch, before it ran alone
    assert house.wait_settled() == {"succeeded": 40, "failed": 1}
    assert all(house.task(each).attempt == 1 for each in (*before, *after)), "a neighbour paid for it"
    assert len(sink.messages()) == 40
    assert worker.alive


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_task_that_kills_its_worker_is_given_up_after_four_starts_and_its_neighbours_finish(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, tmp_path: Path, workers: int
) -> None:
    sink, file = smtp_sink(), tmp_path / "runs"
    house = install(smtp_url=sink.url, **engine)
    neighbours(house, 20)
    pill = house.enqueue("kill_worker", file=str(file))
    neighbours(house, 20)
    house.up(workers)
    task = house.wait_for(pill, seconds=90)
    assert (task.state, task.attempt, runs(file)) == ("failed", MAX_STARTS, MAX_STARTS)
    assert f"Stopped after {MAX_STARTS} starts: each time the process that ran it died" in (task.error or "")
    assert [attempt.outcome for attempt in task.attempts] == ["lost"] * MAX_STARTS
    assert house.wait_settled() == {"succeeded": 40, "failed": 1}
    recipients = {mail.recipients[0] for mail in sink.messages()}
    assert len(recipients) == 20


@pytest.mark.parametrize("name", ["hang", pytest.param("spin", marks=pytest.mark.long)])
def test_a_handler_that_hangs_is_stopped_at_its_limit_and_others_pass_it(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, tmp_path: Path, name: str
) -> None:
    house = install(smtp_url=smtp_sink().url, **engine)
    house.work()
    stuck = house.enqueue(name, file=str(tmp_path / "runs"))
    house.wait_until(lambda: runs(tmp_path / "runs") > 0, "it hangs")
    for each in neighbours(house, 10):
        assert house.wait_for(each, seconds=20).state == "succeeded"
    task = house.wait_for(stuck, "retrying", "failed")
    first = task.attempts[0]
    assert first.finished_at is not None
    assert (first.finished_at - first.started_at).total_seconds() < 3 + 5
    assert "stopped at its limit of 3 seconds" in first.error
    house.steward.service.cancel(stuck) if task.state == "retrying" else None


def test_a_handler_that_takes_two_gigabytes_is_stopped_and_says_so(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, tmp_path: Path
) -> None:
    house = install(smtp_url=smtp_sink().url, **engine)
    worker = house.work()
    eater = house.enqueue("devour", file=str(tmp_path / "runs"))
    letters = neighbours(house, 10)
    for each in letters:
        assert house.wait_for(each).state == "succeeded"
    task = house.wait_for(eater, "retrying", "failed")
    assert "needed more memory" in task.attempts[0].error
    task = house.wait_for(eater, seconds=60)
    assert task.state == "failed"
    assert f"Stopped after {MAX_STARTS} starts" in (task.error or "")
    assert runs(tmp_path / "runs") == MAX_STARTS
    assert worker.alive


def test_two_workers_run_every_task_once(install: Install, engine: dict[str, Any], tmp_path: Path) -> None:
    count_runs(install(**engine), tmp_path / "runs", 1000, workers=2)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_workers_run_five_thousand_tasks_once(install: Install, engine: dict[str, Any], tmp_path: Path) -> None:
    count_runs(install(**engine), tmp_path / "runs", 5000, workers=2)


def count_runs(house: Installation, file: Path, count: int, workers: int) -> None:
    for _ in range(workers):
        house.work()
    for start in range(0, count, 500):
        house.enqueue_many("nothing", ({"file": str(file), "number": n} for n in range(start, start + 500)))
    assert house.wait_settled(200) == {"succeeded": count}
    assert sorted(map(int, file.read_text().split())) == list(range(count))
    assert {task.attempt for task in house.tasks()} == {1}


def test_a_worker_that_joins_and_one_that_leaves_run_nothing_twice(
    install: Install, engine: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "runs"
    house = install(**engine)
    first = house.work()
    house.enqueue_many("nothing", ({"file": str(file), "number": n} for n in range(600)))
    house.work()
    house.enqueue_many("nothing", ({"file": str(file), "number": n} for n in range(600, 1200)))
    assert first.terminate() < 30
    assert house.wait_settled(60) == {"succeeded": 1200}
    assert sorted(map(int, file.read_text().split())) == list(range(1200))
    wait_until(lambda: len(house.workers()) == 1, "the first has left the ledger", 5)
