"""What the service makes is for its own user alone, whoever made the data folder and whatever umask there was."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.installation import PLUGINS, Installation, Program
from tests.servers.rabbitmq import RabbitMq

from steward.cli import checks
from steward.installation.container import Steward
from steward.installation.maintenance import operations_for
from steward.installation.settings import load
from steward.model.declaration.queues import QUEUES
from steward.worker.dry_run import trial

Install = Callable[..., Installation]


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Most systems' umask, which lets everybody read; processes that are started inherit it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


class Seen:
    """Every file and folder below a data folder that was ever seen, with every right that others had on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: dict[str, str] = {}
        self.names: set[str] = set()

    def look(self) -> bool:
        """Look at what is there now; return True, so that it can stand in a condition."""
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # files in the making come and go
                mode = stat.S_IMODE(path.lstat().st_mode)
                self.names.add(path.relative_to(self.folder).parts[0])
                if mode & 0o077:
                    self.open[str(path.relative_to(self.folder))] = oct(mode)
        return True


def _opened(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def test_a_service_in_a_folder_that_is_open_keeps_its_files_to_itself(install: Install, engine: dict[str, Any]) -> None:
    house = install(**engine)
    seen = Seen(_opened(house.settings["data_dir"]))
    house.up()
    ids = [house.post("letter", {"to": f"ada{n}@example.org"}).json()["id"] for n in range(5)]
    ids += [house.post("statement", {"rows": 40, "formats": ["pdf", "csv", "xlsx"]}).json()["id"]]
    house.wait_until(lambda: seen.look() and all(house.task(i).state == "succeeded" for i in ids), "all are performed")
    made = house.run("backup")
    assert made.returncode == 0, made.stderr
    house.run("schedule", "add", "letter", "--cron", "0 6 * * *", "--to", "ada@example.org")
    seen.look()
    assert seen.open == {}
    wanted = {"secret.key", "archive", "outbox", "spool", "slots", "backups"}
    if "database_url" not in engine:
        wanted |= {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}
    assert wanted <= seen.names
    assert stat.S_IMODE(seen.folder.stat().st_mode) == 0o755  # the folder itself is whose it was


def test_the_check_says_of_a_folder_that_others_can_look_into_it(tmp_path: Path) -> None:
    folder = _opened(tmp_path / "data")
    steward = Steward(load(data_dir=folder, free_space_mb=0))
    assert [found[2] for found in checks.data_folder(steward) if found[0] == "warn"] == [f"chmod 700 {folder}"]
    folder.chmod(0o700)
    assert [found[0] for found in checks.data_folder(steward)] == ["ok"]


def test_what_an_earlier_version_left_open_is_closed_at_the_start(install: Install) -> None:
    house = install()
    seen = Seen(_opened(house.settings["data_dir"]))
    house.work()
    house.wait_for(house.enqueue("statement", rows=5))
    house.programs[0].terminate()
    house.steward.close()
    left = ["ledger.sqlite3", "secret.key", "engine.sqlite3", "outbox", "archive", "slots", "spool"]
    for name in left:
        path = seen.folder / name
        path.mkdir(exist_ok=True) if "." not in name else path.touch()
        path.chmod(0o755 if path.is_dir() else 0o644)
    house.work()
    house.wait_for(house.enqueue("statement", rows=5))
    assert house.wait_for(house.enqueue("letter", to="ada@example.org")).state == "succeeded"
    seen.look()
    assert seen.open == {}


def test_within_an_application_files_are_private_and_its_umask_stays(tmp_path: Path) -> None:
    seen = Seen(_opened(tmp_path / "data"))
    settings = load(data_dir=seen.folder, plugins_dir=PLUGINS, free_space_mb=0)
    with trial(settings) as tried:
        for name, payload in (
            ("letter", {"to": "ada@example.org"}),
            ("statement", {"rows": 40, "formats": ["pdf", "csv", "xlsx"]}),
        ):
            task = tried.service.get_status(tried.service.enqueue(name, payload))
            assert task.state == "succeeded", task.error
        operations_for(tried.steward).backup()
        seen.look()
    seen.look()
    assert seen.open == {}
    assert {"ledger.sqlite3", "ledger.sqlite3-wal", "secret.key", "archive", "outbox", "spool", "backups"} <= seen.names
    theirs = tmp_path / "theirs"
    theirs.touch()
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o644


def test_what_a_command_writes_for_its_user_has_the_modes_of_that_user(install: Install) -> None:
    house = install()
    out = house.folder / "look"
    assert house.run("preview", "letter", "--out", str(out)).returncode == 0
    assert {oct(stat.S_IMODE(p.stat().st_mode)) for p in out.iterdir()} == {"0o644"}
    begun = house.run("plugin", "new", "reminder")
    assert begun.returncode == 0, begun.stderr
    assert stat.S_IMODE((house.plugins_dir / "reminder.py").stat().st_mode) == 0o644


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_stock_celery_worker_keeps_its_files_to_itself(install: Install, rabbitmq: RabbitMq, pool: str) -> None:
    house = install(engine="celery", broker_url=rabbitmq.url)
    seen = Seen(_opened(house.settings["data_dir"]))
    words = ["-m", "celery", "-A", "steward.services.celery", "worker", "-P", pool, "-c", "1", "-Q", ",".join(QUEUES)]
    worker = Program([sys.executable, *words], house.folder / "celery.log", env=house.environment, cwd=house.folder)
    worker.start()
    house.programs.append(worker)
    ids = [house.enqueue("statement", rows=50), house.enqueue("letter", to="ada@example.org")]
    house.wait_until(lambda: seen.look() and all(house.task(i).state == "succeeded" for i in ids), "both are done", 60)
    assert seen.open == {}
    assert {"outbox", "archive", "slots"} <= seen.names
