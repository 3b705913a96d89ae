"""Outgrowing one machine while tasks wait and run: another engine, another database, and the way back."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.journeys.installation import Installation
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis

from steward.storage.database import Ledger
from steward.storage.database.schema.tables import tasks
from steward.storage.maintenance import copying

Install = Callable[..., Installation]

_IN_TRANSACTION = sa.text(
    "SELECT query FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_another_engine_finishes_what_waits_and_runs_and_so_does_the_first_again(
    install: Install, redis_server: Redis, tmp_path: Path
) -> None:
    redis_server.flushall()
    house = install()
    gates = {name: tmp_path / f"gate {name}" for name in ("one", "two")}
    runs = tmp_path / "runs"

    def hand_over(name: str, first: int) -> list[str]:
        """Let some run until the gate opens, and at least one wait behind them, when all that is quick is done."""
        held = [house.enqueue("wait_alone", file=str(runs), number=first + n, until=str(gates[name])) for n in range(6)]
        quick = [house.enqueue("nothing", file=str(runs), number=first + n) for n in range(6, 30)]
        for each in quick:
            house.wait_for(each)
        house.wait_until(lambda: house.counts().get("running", 0) >= 2, "some of those that wait for the gate run")
        assert house.counts()["queued"] >= 1
        return held

    # Durable: some run, and the worker is killed under them with others in its hand or waiting.
    worker = house.work()
    blocker = hand_over("one", 0)
    worker.kill9()
    more = [house.enqueue("nothing", file=str(runs), number=100 + n) for n in range(30)]
    house.settings |= {"engine": "celery", "broker_url": redis_server.url}
    gates["one"].touch()
    worker = house.work()
    for each in (*blocker, *more):
        assert house.wait_for(each, seconds=40).state == "succeeded"
    status = json.loads(house.run("engine", "status", "--json").stdout)
    assert (status["engine"], status["broker_state"], status["open"]) == ("celery", "reachable", 0)
    assert [w["engine"] for w in status["workers"]] == ["celery"]

    # Celery: some run, and some lie with the broker, when its worker is killed.
    held = hand_over("two", 200)
    worker.kill9()
    late = [house.enqueue("nothing", file=str(runs), number=300 + n) for n in range(30)]
    del house.settings["broker_url"]
    house.settings["engine"] = "durable"
    gates["two"].touch()
    house.work()
    for each in (*held, *late):
        assert house.wait_for(each, seconds=40).state == "succeeded"
    # Nothing ran twice but what was running when a worker was killed.
    done = Counter(lines(runs))
    assert set(done) == {str(n) for start in (0, 100, 200, 300) for n in range(start, start + 30)}
    twice = {number for number, times in done.items() if times > 1}
    assert twice <= {str(start + n) for start in (0, 200) for n in range(6)}
    assert max(done.values()) <= 2
    assert house.broken_rules() == []


def test_a_ledger_moves_to_postgresql_and_back_and_goes_on(install: Install, postgres: Postgres) -> None:
    house = install()
    worker = house.work()
    done = house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(40)))
    house.wait_settled()
    busy = house.run("ledger", "copy", "--to", postgres.create())
    assert busy.returncode == 2
    assert "in use" in busy.stderr
    worker.terminate()
    waiting = house.enqueue_many("letter", ({"to": f"w{n}@example.org", "number": n} for n in range(40)))

    url = postgres.create()
    moved = house.run("ledger", "copy", "--to", url, "--json")
    assert moved.returncode == 0, moved.stderr
    answer = json.loads(moved.stdout)
    assert answer["verified"]
    assert answer["copied"]["tasks"] == 80
    assert json.loads(house.run("ledger", "copy", "--to", url, "--json").stdout)["copied"]["tasks"] == 0

    there = install("there", database_url=url, data_dir=house.settings["data_dir"])
    there.work()
    for each in (*done, *waiting):
        assert there.wait_for(each).state == "succeeded"
    assert there.broken_rules() == []
    for program in there.programs:
        program.terminate()

    back = there.folder / "back.sqlite3"
    returned = there.run("ledger", "copy", "--to", f"sqlite:///{back}", "--json")
    assert returned.returncode == 0, returned.stderr
    here = Ledger(f"sqlite:///{back}")
    with here.read() as connection:
        states = connection.execute(sa.select(tasks.c.state, sa.func.count()).group_by(tasks.c.state)).all()
    here.close()
    assert [tuple(row) for row in states] == [("succeeded", 80)]


_COPY = """
import os, sys
from steward.storage.maintenance import copying
from steward.storage.database import Ledger
def told(table, rows):
    print(table, rows, flush=True)
    if table == "tasks" and rows >= 2000:
        os.kill(os.getpid(), 9)
copying.copy(Ledger(sys.argv[1]), Ledger(sys.argv[2]), told)
"""


def test_a_copy_that_is_killed_goes_on_where_it_stopped(install: Install, postgres: Postgres) -> None:
    house = install()
    house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(3500)))
    keys = ("b", "A", "a-b", "ab", "Ä", "_", "-", "10", "9")
    for number, key in enumerate(keys):
        house.steward.service.enqueue("letter", to="ada@example.org", number=number, key=key)
    source, url = house.steward.ledger, postgres.create()
    killed = subprocess.run(
        [sys.executable, "-c", _COPY, str(source.url), url], capture_output=True, text=True, timeout=60, check=False
    )
    assert killed.returncode == -9, killed.stderr
    with contextlib.closing(Ledger(url)) as target:
        told: list[tuple[str, int]] = []
        counts = copying.copy(source, target, lambda table, rows: told.append((table, rows)))
        assert counts["tasks"] == 3500 + len(keys) - 2000
        with source.read() as here, target.read() as there:
            for table in (tasks, copying.metadata.tables["idempotency_keys"]):
                assert copying.digest(here, table) == copying.digest(there, table)


def test_a_copy_holds_no_session_of_its_target_while_it_reads_the_source(install: Install, postgres: Postgres) -> None:
    """The server ends a session that stands still in a transaction, and a large source is read for longer than that."""
    house = install()
    house.enqueue_many("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(20)))
    source, url = house.steward.ledger, postgres.create()
    held: list[str] = []
    asked = 0
    with contextlib.closing(Ledger(url)) as target, contextlib.closing(Ledger(url)) as beside:

        def look(*_: Any) -> None:
            nonlocal asked
            asked += 1
            with beside.read() as connection:
                held.extend(connection.scalars(_IN_TRANSACTION))

        sa.event.listen(source.engine, "before_cursor_execute", look)
        try:
            copying.copy(source, target, lambda table, rows: None)
        finally:
            sa.event.remove(source.engine, "before_cursor_execute", look)
    assert asked > 2 * len(copying.metadata.sorted_tables)
    assert held == []


def test_a_copy_into_a_store_that_holds_something_else_is_refused(install: Install, postgres: Postgres) -> None:
    one, other = install(), install("other", database_url=postgres.create())
    one.enqueue("letter", to="ada@example.org")
    other.enqueue("letter", to="grace@example.org")
    refused: Any = one.run("ledger", "copy", "--to", other.settings["database_url"])
    assert refused.returncode == 2
    assert "differs" in refused.stderr
    assert "Traceback" not in refused.stderr
