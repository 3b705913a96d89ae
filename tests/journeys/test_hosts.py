"""Several hosts on one PostgreSQL, each with a data folder of its own: every task once, and none lost with a host."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.journeys.installation import Installation
from tests.journeys.sending import account, sending
from tests.servers.postgres import Postgres
from tests.servers.smtp_sink import SmtpSink

from steward.storage.database import postgres as connections
from steward.storage.database.schema.tables import attempts

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]
KEY = "a key that both hosts are given, of 32 characters or more"


@pytest.fixture
def hosts(install: Install, postgres: Postgres) -> Callable[..., list[Installation]]:
    """Makes installations that share a database and a key, and nothing else."""

    def make(**settings: Any) -> list[Installation]:
        shared = {"database_url": postgres.create(), "secret_key": KEY, **settings}
        return [install(name, **shared) for name in ("here", "there")]

    return make


def test_two_hosts_do_each_task_once(hosts: Callable[..., list[Installation]], tmp_path: Path) -> None:
    here, there = hosts()
    runs = tmp_path / "runs"
    here.work()
    there.work()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    later = [here.steward.service.schedule("nothing", soon, file=str(runs), number=n) for n in range(1000, 1020)]
    here.enqueue_many("nothing", ({"file": str(runs), "number": n} for n in range(4000, 7000)))
    # A worker does two jobs at a time, so that three which wait for the gate are in the hands of both hosts.
    gate = tmp_path / "gate"
    held = [here.enqueue("wait_alone", file=str(runs), number=n, until=str(gate)) for n in range(7000, 7003)]
    here.wait_until(lambda: all(here.task(each).state == "running" for each in held), "both hosts have some", 60)
    gate.touch()
    here.wait_settled(90)
    for each in later:
        assert there.task(each).state == "succeeded"
    assert Counter(runs.read_text().splitlines()) == Counter(str(n) for n in (*range(4000, 7003), *range(1000, 1020)))
    with here.steward.ledger.read() as connection:
        took_part = connection.scalars(sa.select(attempts.c.worker).distinct()).all()
    assert len(took_part) == 2


def test_what_a_host_that_burnt_down_had_in_hand_goes_on_at_the_other(
    hosts: Callable[..., list[Installation]], tmp_path: Path
) -> None:
    here, there = hosts()
    worker, gate = here.work(), tmp_path / "gate"
    task_id = here.enqueue("wait_alone", file=str(tmp_path / "runs"), until=str(gate))
    owner = here.wait_for(task_id, "running").worker
    there.work()
    worker.kill9()
    there.wait_until(lambda: there.task(task_id).worker not in (None, owner), "the other host has it", 30)
    gate.touch()
    task = there.wait_for(task_id)
    assert (task.state, [attempt.outcome for attempt in task.attempts]) == ("succeeded", ["lost", "succeeded"])


def test_an_application_hands_over_inside_its_own_transaction(hosts: Callable[..., list[Installation]]) -> None:
    here, there = hosts()
    there.work()  # on another host: only PostgreSQL can tell it
    application = connections.engine(sa.make_url(here.settings["database_url"]))
    members = sa.Table("members", sa.MetaData(), sa.Column("email", sa.Text, primary_key=True))
    members.create(application)
    service = here.steward.service

    def sign_up(email: str, *, fails: bool) -> str:
        with application.begin() as connection:
            connection.execute(members.insert().values(email=email))
            task_id = service.enqueue("letter", to=email, connection=connection)
            if fails:
                raise LookupError("the sign-up fails")
        return task_id

    with pytest.raises(LookupError):
        sign_up("nobody@example.org", fails=True)
    assert here.counts() == {}
    assert here.wait_for(sign_up("first@example.org", fails=False)).state == "succeeded"
    waits = []
    for n in range(5):
        started = time.monotonic()
        assert here.wait_for(sign_up(f"m{n}@example.org", fails=False)).state == "succeeded"
        waits.append(time.monotonic() - started)
    assert min(waits) < 0.7, "the relay was not woken, and looked by itself a second later"
    assert here.counts() == {"succeeded": 6}
    application.dispose()


@pytest.mark.parametrize("restarts", [2, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.timeout(400)
def test_a_postgresql_restarted_under_load_loses_nothing(install: Install, smtp_sink: Sink, restarts: int) -> None:
    with Postgres() as server:
        sink = smtp_sink()
        house = install(smtp_url=sink.url, database_url=server.create())
        house.up()
        assert house.wait_for(house.enqueue("nothing")).state == "succeeded"
        with sending(house, pace=30) as sender:
            for n in range(restarts):
                before = len(sender.accepted)
                house.wait_until(lambda before=before: len(sender.accepted) > before + 20, "letters are accepted", 30)
                if n % 2:
                    server.kill()
                    assert httpx.get(f"{house.url}/readyz", timeout=10).status_code == 503
                    assert httpx.get(f"{house.url}/livez", timeout=5).status_code == 200
                    server.start()
                else:
                    server.restart()
            # What was in doubt at the last restart is asked for again, under its key.
            before = len(sender.accepted)
            house.wait_until(lambda: len(sender.accepted) > before + 5, "letters are accepted again", 30)
        house.wait_settled(30)
        result = account(house, sink, sender)
        assert result.accepted > restarts * 20
        assert (result.lost, result.unexpected, result.unflagged, result.differing) == (0, 0, 0, 0)
        assert result.duplicated <= restarts * 16
        assert house.broken_rules() == []
