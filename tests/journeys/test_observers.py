"""Plugins that watch tasks hear of every change, whoever commits it; one that fails or hangs holds nobody up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.contracts.services import ENGINES, Subject, running
from tests.journeys.installation import PLUGINS, Installation

OBSERVER = """
import os
from steward import hookimpl

@hookimpl
def task_changed(task, was):
    with open(os.environ["OBSERVED"], "a") as file:
        file.write(f"{task.id} {was} {task.state}\\n")
"""
BAD = """
import threading
from steward import hookimpl

@hookimpl
def task_changed(was, task):
    {body}
"""


@pytest.fixture
def observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OBSERVED", str(tmp_path / "observed"))
    return tmp_path / "observed"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """The plugins of the journeys, and one that watches."""
    folder = tmp_path / "with an observer"
    shutil.copytree(PLUGINS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "watching.py").write_text(OBSERVER)
    return folder


def heard(observed: Path, task_id: str) -> list[str]:
    lines = observed.read_text().splitlines() if observed.exists() else []
    return sorted(line.removeprefix(f"{task_id} ") for line in lines if line.startswith(task_id))


@pytest.mark.parametrize("name", ENGINES)
def test_every_change_is_heard_of_once_with_each_engine(
    name: str,
    tmp_path: Path,
    plugins: Path,
    observed: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(Subject, "plugins", plugins)
    mended = tmp_path / "mended"
    with running(name, tmp_path / "house", request.getfixturevalue) as subject:
        sent = subject.do(lambda service: service.enqueue("letter", to="ada@example.org"))
        subject.settled(sent)
        failed = subject.do(lambda service: service.enqueue("fail", file=str(tmp_path / "runs"), until=str(mended)))
        subject.settled(failed, "failed")
        mended.touch()
        subject.do(lambda service: service.retry(failed))
        subject.settled(failed, "succeeded")
        application = sa.create_engine(subject.steward.ledger.url)
        with pytest.raises(RuntimeError), application.begin() as connection:
            undone = subject.do(lambda service: service.enqueue("nothing", connection=connection))
            raise RuntimeError
        with application.begin() as connection:
            joined = subject.do(lambda service: service.enqueue("nothing", connection=connection))
        application.dispose()
        subject.settled(joined)
        subject.pause()
        soon = datetime.now(UTC) + timedelta(seconds=0.3)
        expired = subject.do(lambda service: service.enqueue("letter", to="eve@example.org", expires_at=soon))
        cancelled = subject.do(lambda service: service.enqueue("letter", to="eve@example.org"))
        subject.do(lambda service: service.cancel(cancelled))
        subject.house.wait_until(lambda: datetime.now(UTC) > soon, "its time has passed", 5)
        subject.resume()
        subject.settled(expired, "expired")
        performed = ["None queued", "queued running", "running succeeded"]
        wanted = {
            sent: performed,
            failed: sorted([*performed, "failed queued", "queued running", "running failed"]),
            joined: performed,
            # Without a relay, which ends what is over before it begins, the attempt finds that out.
            expired: [
                "None queued",
                *(["queued running", "running expired"] if name == "background" else ["queued expired"]),
            ],
            cancelled: ["None queued", "queued cancelled"],
        }
        subject.house.wait_until(
            lambda: all(heard(observed, task_id) == sorted(changes) for task_id, changes in wanted.items()),
            f"each change is heard of once: {wanted} in {observed}",
            20,
        )
        assert heard(observed, undone) == []
        assert subject.house.broken_rules() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no')", "failed, and may do so again: ValueError: no"),
        ("raise SystemExit(1)", "failed, and may do so again: SystemExit: 1"),
        ("threading.Event().wait()", ""),
        ("_ = 1 / 0 if was else task.reveal", "failed, and may do so again:"),
    ],
    ids=["raises", "exits", "hangs", "asks for what is not there"],
)
def test_an_observer_that_fails_or_hangs_holds_nobody_up(
    install: Callable[..., Installation], observed: Path, body: str, said: str
) -> None:
    house = install()
    (house.plugins_dir / "watching.py").write_text(OBSERVER)
    (house.plugins_dir / "bad.py").write_text(BAD.format(body=body))
    worker = house.work()
    ids = house.enqueue_many("letter", [{"to": f"m{n}@example.org"} for n in range(50)])
    assert house.wait_settled() == {"succeeded": 50}
    house.wait_until(
        lambda: all(heard(observed, each) == ["None queued", "queued running", "running succeeded"] for each in ids),
        "the other observer hears of everything",
    )
    assert worker.terminate() < 20
    log = (house.folder / "work.log").read_text()
    assert log.count("the plugin bad, which watches tasks") == bool(said)
    assert said in log
    assert "Traceback" not in log


def test_one_that_takes_what_there_is_not_is_a_broken_plugin(install: Callable[..., Installation]) -> None:
    house = install()
    (house.plugins_dir / "bad.py").write_text(BAD.format(body="pass").replace("was, task", "task, before"))
    [broken] = [each for each in house.steward.registry.plugins if each.error]
    assert broken.name == "bad"
    assert "before" in broken.error
    assert house.steward.registry.observers == ()
