"""A process that is frozen while it holds the store's lock: nobody waits for it for long, and it is taken over."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.journeys.installation import Installation, Program
from tests.servers.postgres import Postgres
from tests.servers.smtp_sink import SmtpSink

from steward.system import processes

TAKEN_OVER = 20.0
"""Seconds within which a frozen process loses what it holds."""
PROMPT = 2.0
"""Seconds within which a request is answered, whatever holds the store."""


def ledger_of(house: Installation) -> Path:
    return Path(house.settings["data_dir"]) / "ledger.sqlite3"


def is_locked(house: Installation) -> bool:
    """Whether a write could not begin at this very moment."""
    with closing(sqlite3.connect(ledger_of(house), timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def freeze_with_lock(house: Installation, program: Program, seconds: float = 60) -> None:
    """Freeze `program` at a moment at which it holds the write lock: again and again, until it does."""
    end, pause = time.monotonic() + seconds, threading.Event()
    tries = 0
    while time.monotonic() < end:
        program.freeze()
        while processes.spent(program.pid)[0] != "T":
            pause.wait(0.001)
        if program.pid in processes.writers(ledger_of(house)) and is_locked(house):
            return
        program.wake()
        tries += 1
        pause.wait(0.001 * (tries % 23))
    raise TimeoutError("it was never frozen with the lock")


@contextmanager
def posting(house: Installation) -> Iterator[None]:
    """Hand letters over, one after the other, while the block lasts; what is not accepted is not minded."""
    stop, headers = threading.Event(), house.client.headers

    def post() -> None:
        with httpx.Client(base_url=house.url, headers=headers, timeout=5) as client:
            while not stop.is_set():
                try:
                    client.post("/v1/tasks/letter", json={"to": "stream@example.org"})
                except httpx.HTTPError:
                    stop.wait(0.05)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


def timed(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    answer = call()
    return answer, time.monotonic() - began


def test_a_worker_frozen_with_the_lock_is_named_refused_for_and_taken_over(
    install: Callable[..., Installation], smtp_sink: Callable[..., SmtpSink]
) -> None:
    with install(smtp_url=smtp_sink().url) as house:
        house.serve()
        first = house.work()
        accepted = house.bulk("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(3000)))
        freeze_with_lock(house, first)
        frozen = time.monotonic()

        report, took = timed(lambda: house.client.get("/readyz"))
        assert (report.status_code, took < PROMPT) == (503, True)
        assert any("locked by slot-0" in r and f"process {first.pid}" in r for r in report.json()["reasons"]), (
            report.text
        )
        second = house.start("work")
        refused = 0
        while True:
            for path in ("/v1/tasks", f"/v1/tasks/{accepted[0]}", "/livez"):
                answer, took = timed(lambda path=path: house.client.get(path))  # type: ignore[misc]
                assert (answer.status_code, took < PROMPT) == (200, True), (path, took)
            answer, took = timed(lambda: house.post("letter", {"to": "meanwhile@example.org"}))
            assert took < PROMPT + 0.3, took
            if answer.status_code == 202:
                break
            assert answer.status_code == 503, answer.text
            assert "Retry-After" in answer.headers
            refused += 1
            assert time.monotonic() - frozen < TAKEN_OVER, house.words()
        assert refused > 3
        assert first.await_end(1) == -signal.SIGKILL
        assert second.alive, second.words()
        house.wait_until(lambda: len(house.workers()) == 1, "the second works", TAKEN_OVER)
        assert house.wait_settled(90) == {"succeeded": 3001}
        assert house.broken_rules() == []


def test_a_web_server_frozen_with_the_lock_is_ended_and_letters_go_on(
    install: Callable[..., Installation], smtp_sink: Callable[..., SmtpSink]
) -> None:
    with install(smtp_url=smtp_sink().url) as house:
        web = house.serve()
        house.work()
        with posting(house):
            freeze_with_lock(house, web)
            waiting = time.monotonic()
            assert web.await_end(TAKEN_OVER) == -signal.SIGKILL
            assert time.monotonic() - waiting < TAKEN_OVER
        last = house.enqueue("letter", to="last@example.org")
        assert house.wait_for(last).state == "succeeded"
        house.wait_settled(60)
        assert house.broken_rules() == []


def test_another_program_with_the_lock_is_named_and_left_alone_and_nobody_is_taken_for_dead(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    with install() as house:
        house.serve()
        house.work()
        gate = tmp_path / "gate"
        running = house.enqueue("wait_alone", file=str(tmp_path / "runs"), number=1, until=str(gate))
        house.wait_for(running, "running")
        house.work()
        assert house.client.get("/v1/tasks").status_code == 200  # its key is made
        with closing(sqlite3.connect(ledger_of(house), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked = time.monotonic()
            answer, took = timed(lambda: house.post("letter", {"to": "refused@example.org"}))
            assert (answer.status_code, took < PROMPT) == (503, True)
            report = house.client.get("/readyz").json()
            assert any(f"process {os.getpid()} (" in reason for reason in report["reasons"]), report
            third = house.start("work")
            # Longer than a lease and the time for being certain: every worker looks dead to the others by then.
            house.wait_until(lambda: time.monotonic() - locked > TAKEN_OVER, "the time has passed", TAKEN_OVER + 5)
            assert third.alive, third.words()
            other.execute("ROLLBACK")
        house.wait_until(lambda: house.post("letter", {"to": "taken@example.org"}).status_code == 202, "it accepts")
        house.wait_until(lambda: len(house.workers()) == 3, "all three work")
        gate.touch()
        assert len(house.wait_for(running).attempts) == 1
        assert house.wait_settled() == {"succeeded": 2}


def test_a_worker_frozen_inside_a_transaction_of_postgresql_loses_its_locks(
    install: Callable[..., Installation], postgres: Postgres, smtp_sink: Callable[..., SmtpSink]
) -> None:
    with install(smtp_url=smtp_sink().url, database_url=postgres.create()) as house:
        house.serve()
        first = house.work()
        house.work()
        house.bulk("letter", ({"to": f"m{n}@example.org", "number": n} for n in range(3000)))
        idle = sa.text(
            "SELECT pid, xact_start, state_change, clock_timestamp(), left(query, 200) FROM pg_stat_activity a"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
            " AND EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.mode = 'RowExclusiveLock')"
            " AND state_change < clock_timestamp() - interval '100 ms'"
        )

        def stuck() -> list[str]:
            with house.steward.ledger.read() as connection:
                return [str(row) for row in connection.execute(idle)]

        pause = threading.Event()
        for turn in range(400):
            first.freeze()
            pause.wait(0.25)
            if stuck():
                break
            first.wake()
            pause.wait(0.001 * (turn % 23))
        else:
            pytest.fail("it was never frozen inside a transaction")
        frozen = time.monotonic()
        while held := stuck():
            answer, took = timed(lambda: house.client.get("/v1/tasks"))
            assert (answer.status_code, took < PROMPT) == (200, True)
            answer, took = timed(lambda: house.post("letter", {"to": "meanwhile@example.org"}))
            assert answer.status_code in (202, 503), answer.text
            assert took < PROMPT + 0.3, took
            assert time.monotonic() - frozen < TAKEN_OVER, held
            pause.wait(0.2)
        house.wait_until(lambda: not house.open(), "every letter has gone", 60)
        first.wake()
        last: dict[str, Any] = house.post("letter", {"to": "last@example.org"}).json()
        assert house.wait_for(last["id"]).state == "succeeded"
        assert house.broken_rules() == []
