"""A worker that is frozen past its lease, and woken: one outcome is recorded, and the late writer is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.journeys.installation import Installation, stopped_clock
from tests.servers.smtp_sink import SmtpSink


def test_a_frozen_worker_loses_its_task_and_its_late_write_is_refused(
    install: Callable[..., Installation],
    engine: dict[str, Any],
    smtp_sink: Callable[..., SmtpSink],
    tmp_path: Path,
) -> None:
    with install(smtp_url=smtp_sink().url, **engine) as house:
        first = house.work()
        gate = tmp_path / "gate"
        waiting = house.enqueue("wait_alone", file=str(tmp_path / "runs"), number=1, until=str(gate))
        owner = house.wait_for(waiting, "running").worker
        with stopped_clock(first):
            house.work()
            letters = house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(20)))
            house.wait_until(lambda: house.task(waiting).worker not in (owner, None), "another has it", 25)
            for each in letters:
                assert house.wait_for(each).state == "succeeded"
            gate.touch()
            assert house.wait_for(waiting).state == "succeeded"
        # The woken worker finds its attempt closed, says so, and goes on working.
        last = house.enqueue("letter", to="last@example.org")
        assert house.wait_for(last).state == "succeeded"
        house.wait_until(lambda: owner in house.workers(), "the woken worker is back")
        task = house.task(waiting)
        assert [attempt.outcome for attempt in task.attempts] == ["lost", "succeeded"]
        assert house.broken_rules() == []
