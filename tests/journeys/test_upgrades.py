"""The program, a plugin or the schema changes with tasks in flight: all finish; a newer store is refused in words."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.engines import settings_of
from tests.journeys.installation import Installation
from tests.servers.former_engine import left_in
from tests.servers.smtp_sink import SmtpSink

from steward.errors import NewerStore
from steward.installation import former_engine
from steward.storage.database import Ledger
from steward.storage.database.ledger import REVISIONS
from steward.storage.fleet import workers
from steward.storage.tasks import claim
from steward.system.clock import SECOND, now

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


def test_tasks_in_flight_go_on_under_a_changed_program(
    install: Install, engine: dict[str, Any], smtp_sink: Sink, tmp_path: Path
) -> None:
    sink, gate = smtp_sink(), tmp_path / "gate"
    house = install(smtp_url=sink.url, **engine)
    worker = house.work()
    running = house.enqueue("wait_alone", file=str(tmp_path / "runs"), until=str(gate))
    house.wait_for(running, "running")
    letters = house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(30)))
    worker.kill9()
    plugin = house.plugins_dir / "trials.py"
    source = plugin.read_text()
    plugin.write_text(
        source.replace('return Note("Waited.")', 'return Note("Waited, newly.")').replace(
            "until: str", "added: int = 3\n    until: str"
        )
    )
    words = house.plugins_dir / "templates" / "letter" / "body.txt.j2"
    words.write_text(words.read_text() + "In new words.\n")
    gate.touch()
    house.work()
    task = house.wait_for(running)
    assert (task.state, task.note) == ("succeeded", "Waited, newly.")
    assert {house.wait_for(each).state for each in letters} == {"succeeded"}
    # And back again, with a field that the older program does not know.
    newer = house.enqueue("wait_alone", file=str(tmp_path / "runs"))
    assert house.wait_for(newer).state == "succeeded"


@pytest.mark.parametrize("former", ["durable", "durable-postgresql"])
def test_what_the_engine_of_earlier_versions_left_in_any_state_is_performed_and_its_store_goes(
    install: Install, former: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    house = install(**settings_of(former, request))
    gate, ledger = tmp_path / "gate", house.steward.ledger
    worker = house.work()
    done = house.enqueue("letter", to="done@example.org")
    house.wait_for(done)
    running = [house.enqueue("wait_alone", file=str(tmp_path / "runs"), until=str(gate)) for _ in range(2)]
    for each in running:
        house.wait_for(each, "running")
    worker.kill9()
    # In the hand of a worker that had not begun them when its machine went down, another time.
    in_hand = house.enqueue_many("letter", ({"to": f"h{n}@example.org", "number": n} for n in range(3)))
    long_ago = now() - 60 * SECOND
    ledger.apply(lambda c: workers.register(c, "gone", "elsewhere", "slot-0@x", 1, "durable", None, long_ago))
    taken = ledger.apply(lambda c: claim.take(c, "mail", 3, "gone", now()))
    assert {each.id for each in taken} == set(in_hand)
    queued = house.enqueue_many("letter", ({"to": f"q{n}@example.org", "number": n} for n in range(20)))
    later = house.steward.service.schedule("letter", datetime.now(UTC) + timedelta(seconds=3), to="later@example.org")
    left = Path(house.settings["data_dir"]) / former_engine.FILE
    if former == "durable":
        left_in(left.parent, done, *running)
    else:
        made = f"CREATE SCHEMA {former_engine.SCHEMA} CREATE TABLE {former_engine.TABLE} (workflow_uuid text)"
        ledger.apply(lambda c: c.exec_driver_sql(made))
    gate.touch()
    house.work()
    open_then = [*running, *in_hand, *queued, later]
    ended = [house.wait_for(each) for each in open_then]
    assert [task.state for task in ended] == ["succeeded"] * len(open_then)
    assert [task.attempt for task in ended] == [2, 2] + [1] * (len(open_then) - 2)
    assert house.task(done).attempt == 1
    assert house.counts() == {"succeeded": len(open_then) + 1}
    assert house.broken_rules() == []
    assert not left.exists()
    said = house.run("check").stdout
    assert ("The schema 'dbos' is that of an earlier version's engine" in said) == (former != "durable")


def test_tasks_of_a_plugin_that_is_taken_away_wait_and_go_on_when_it_is_back(
    install: Install, engine: dict[str, Any], smtp_sink: Sink
) -> None:
    house = install(smtp_url=smtp_sink().url, **engine)
    ids = house.enqueue_many("letter", ({"to": f"m{n}@example.org"} for n in range(5)))
    plugin = house.plugins_dir / "trials.py"
    source = plugin.read_text()
    plugin.write_text("import a_module_that_is_not_there\n")
    worker = house.work()
    for each in ids:
        assert "No plugin offers 'letter'" in (house.wait_for(each, "blocked").error or "")
    plugin.write_text(source)
    worker.terminate()
    house.work()
    assert house.wait_settled() == {"succeeded": 5}


def test_a_payload_that_no_longer_fits_fails_in_words(install: Install, engine: dict[str, Any]) -> None:
    house = install(**engine)
    task_id = house.enqueue("letter", to="ada@example.org")
    plugin = house.plugins_dir / "trials.py"
    plugin.write_text(
        plugin.read_text()
        .replace("    number: int = 0\n    words", "    number: int = 0\n    needed: str\n    words", 1)
        .replace('LETTER = Letter(to="ada@example.org")', 'LETTER = Letter(to="ada@example.org", needed="x")')
    )
    house.work()
    task = house.wait_for(task_id)
    assert task.state == "failed"
    assert "no longer fits the handler letter" in (task.error or "")


MIGRATE = "import sys; from steward.storage.database import Ledger; Ledger(sys.argv[1]).open()"


def first_store(path: Path) -> None:
    """Make a ledger as the first version left it, with 20,000 tasks."""
    from steward.storage.database.schema import migrate

    ledger = Ledger(f"sqlite:///{path}")
    migrate.upgrade(ledger.engine, REVISIONS[0])
    with ledger.write() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
            " INSERT INTO tasks (id, name, state, lane, priority, payload, requested_by, created_at, due_at)"
            " SELECT printf('%036d', i), 'letter', 'queued', 'mail', 0, '{}', 'tests', i, i FROM n"
        )
    ledger.close()


@pytest.mark.parametrize("kills", [5, pytest.param(40, marks=pytest.mark.long)])
def test_a_migration_that_is_killed_is_run_again(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "ledger.sqlite3"
    first_store(path)
    url = f"sqlite:///{path}"
    for number in range(kills):
        process = subprocess.Popen([sys.executable, "-c", MIGRATE, url], stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2 + number / kills)  # from before the first statement to after the last one
        process.kill()
        process.wait()
        with sqlite3.connect(path) as store:
            assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert store.execute("SELECT version_num FROM alembic_version").fetchone()[0] in REVISIONS
            assert store.execute("SELECT count(*) FROM tasks").fetchone() == (20000,)
    ledger = Ledger(url)
    ledger.open()
    assert ledger.revision() == REVISIONS[-1]
    ledger.close()


def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    first_store(path)
    command = [sys.executable, "-c", MIGRATE, f"sqlite:///{path}"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    said = [process.communicate(timeout=60)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    ledger = Ledger(f"sqlite:///{path}")
    assert ledger.revision() == REVISIONS[-1]
    ledger.close()


def test_a_newer_store_is_refused_in_words(install: Install) -> None:
    house = install()
    house.steward.ledger.apply(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerStore, match="written by a newer version"):
        Ledger(house.steward.settings.ledger_url).open()
    for words in (["serve"], ["work"]):
        done = house.run(*words)
        assert done.returncode != 0
        assert "written by a newer version of Steward" in done.stderr
        assert "9999" in done.stderr
        assert "Install the newer version again" in done.stderr
        assert "Traceback" not in done.stderr
