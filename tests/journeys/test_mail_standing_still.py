"""A mail server that is dead, mute or refuses us: one question at a time, nothing is counted, and all goes at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.journeys.engines import settings_of
from tests.journeys.installation import SCOPES, Installation, Program
from tests.servers.ports import free_port, wait_until
from tests.servers.scripted_smtp import SILENCE, ScriptedSmtp, say

from steward.storage import access
from steward.storage.database.schema.tables import lanes, tasks
from steward.storage.fleet import circuit_breaker
from steward.system.clock import now

DENIED = say("554 5.7.1 Relay access denied")
IMPATIENT = """
import runpy, steward.worker.mail_probe
steward.worker.mail_probe.SILENCE = 0.5
runpy.run_module("steward", run_name="__main__", alter_sys=True)
"""
"""A program of Steward to which a server is mute after half a second, and not after half a minute."""


def standing(place: Installation) -> circuit_breaker.CircuitBreakerState:
    with place.steward.ledger.read() as connection:
        return circuit_breaker.standing(connection)


def failures(place: Installation) -> int:
    with place.steward.ledger.read() as connection:
        return connection.scalar(sa.select(sa.func.sum(tasks.c.failures))) or 0


def log_of(place: Installation) -> str:
    """Return what its workers have logged; all write into one file."""
    return (place.folder / "work.log").read_text()


def ask_now(place: Installation) -> None:
    """Let the half minute be over."""
    place.steward.ledger.apply(lambda c: c.execute(lanes.update().values(try_at=now())))


def letters(place: Installation, count: int) -> list[str]:
    return place.enqueue_many("letter", [{"to": f"m{n}@example.org", "number": n} for n in range(count)])


def work_impatiently(place: Installation) -> None:
    """Start a worker that takes a server for mute after half a second."""
    program = Program(
        [sys.executable, "-c", IMPATIENT, "work"], place.folder / "work.log", env=place.environment, cwd=place.folder
    )
    place.programs.append(program)
    program.start()
    wait_until(lambda: bool(place.workers()), "a worker is ready", 40, lambda: program.alive)


def front_page(place: Installation) -> str:
    """Return what stands on the first page for an operator who has signed in."""
    key = place.steward.ledger.apply(lambda c: access.create_key(c, "a person", SCOPES))[1]
    with httpx.Client(base_url=place.url, timeout=30, follow_redirects=True) as web:
        token = re.search(r'name="form_token" value="([^"]+)"', web.get("/sign-in").text)
        assert token is not None
        web.post("/sign-in", data={"form_token": token[1], "key": key})
        return web.get("/").text


def all_sent(place: Installation) -> bool:
    return {task.state for task in place.tasks()} == {"succeeded"}


@pytest.mark.parametrize(("phase", "workers"), [("rcpt", 1), ("rcpt", 2), ("dot", 1)])
def test_a_server_that_will_not_relay_hears_one_letter_at_a_time_and_the_rest_wait(
    install: Callable[..., Installation], phase: str, workers: int
) -> None:
    with ScriptedSmtp({phase: DENIED}) as server:
        place = install(smtp_url=server.url())
        letters(place, 300)
        for _ in range(workers):
            place.work()
        wait_until(lambda: standing(place).failures >= 2, "a second letter has asked", 30)
        wait_until(lambda: all(t.state in ("queued", "retrying") for t in place.tasks()), "nothing is in hand", 30)
        asked = server.verbs().count("RCPT")
        assert asked <= 1 + 2 * workers
        for _ in range(2):
            before = standing(place).failures
            ask_now(place)
            wait_until(lambda b=before: standing(place).failures > b, "the next letter asks", 20)
        assert server.verbs().count("RCPT") <= asked + 2
        assert failures(place) == 0
        server.follow({})
        ask_now(place)
        wait_until(lambda: all_sent(place), "everything goes", 60)
        assert len(server.accepted) == 300
        words = log_of(place)
        assert words.count("mail stands still") == 1
        assert words.count("mail moves again") == 1


def test_one_recipient_who_is_refused_each_time_is_that_tasks_own_matter(install: Callable[..., Installation]) -> None:
    with ScriptedSmtp({"rcpt:m0@example.org": DENIED}) as server:
        place = install(smtp_url=server.url())
        ids = letters(place, 40)
        place.work()
        wait_until(lambda: len(server.accepted) == 39, "the others are sent", 30)
        wait_until(lambda: failures(place) >= 2, "it counts against the one, again and again", 30)
        assert not standing(place).is_open
        assert place.task(ids[0]).state != "succeeded"
        assert log_of(place).count("mail stands still") == 1, "it does not hold the others up a second time"


def test_a_dead_server_is_told_of_after_the_third_time_and_all_goes_when_it_is_back(
    install: Callable[..., Installation],
) -> None:
    port = free_port()
    place = install(smtp_url=f"smtp+plain://127.0.0.1:{port}")
    place.serve()
    letters(place, 20)
    place.work()
    wait_until(lambda: standing(place).is_open, "mail stands still", 40)
    assert standing(place).failures == 3
    assert failures(place) == 0
    report = place.client.get("/readyz").json()
    assert any("Mail stands still" in each for each in report["warnings"])
    metrics = place.client.get("/metrics").text
    assert "steward_mail_server_failures 3" in metrics
    assert "steward_lanes_stopped 1" in metrics
    place.enqueue_many("letter", [{"to": "late@example.org"}])
    server = ScriptedSmtp(port=port)
    with server:
        ask_now(place)
        wait_until(lambda: all_sent(place), "everything goes at once", 30)
        assert len(server.accepted) == 21
    assert failures(place) == 0
    assert {t.attempt for t in place.tasks()} <= {1, 2, 3, 4}
    assert log_of(place).count("mail stands still") == 1
    assert log_of(place).count("mail moves again") == 1
    assert standing(place) == circuit_breaker.CircuitBreakerState()


def test_a_server_that_takes_connections_and_says_nothing_is_told_of_as_one_that_is_dead(
    install: Callable[..., Installation],
) -> None:
    with ScriptedSmtp({"greet": SILENCE}) as server:
        place = install(smtp_url=server.url())
        place.serve()
        letters(place, 20)
        work_impatiently(place)
        wait_until(lambda: standing(place).is_open, "mail stands still", 30)
        assert standing(place).failures == 3
        assert len(server.sessions) == 3, "one connection for each of the three times"
        assert "Mail stands still" in front_page(place)
        answer = place.client.get("/readyz")
        assert answer.status_code == 200, "what is accepted is kept, and other tasks are performed"
        assert any("127.0.0.1 takes the connection, and does not" in each for each in answer.json()["warnings"])
        assert not any("127.0.0.1" in each for each in httpx.get(f"{place.url}/readyz").json()["warnings"])
        metrics = place.client.get("/metrics").text
        assert "steward_mail_server_failures 3" in metrics
        assert "steward_lanes_stopped 1" in metrics
        letters(place, 5)
        for asked in (4, 5):
            before = standing(place).failures
            ask_now(place)
            wait_until(lambda b=before: standing(place).failures > b, "it is asked, and says nothing", 20)
            assert len(server.sessions) == asked, "by one connection each half minute"
        assert not server.verbs().count("MAIL")
        server.follow({})
        ask_now(place)
        wait_until(lambda: all_sent(place), "everything goes at once", 20)
        assert len(server.accepted) == 25
        assert failures(place) == 0
        assert {task.attempt for task in place.tasks()} <= {1, 2, 3, 4}
        words = log_of(place)
        assert words.count("mail stands still") == 1
        assert words.count("mail moves again") == 1
        assert standing(place) == circuit_breaker.CircuitBreakerState()


@pytest.fixture
def celery_on_redis(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings that choose Celery with Redis."""
    return settings_of("celery-redis", request)


def test_mail_stands_still_on_celery_as_it_does_on_the_default(
    install: Callable[..., Installation], celery_on_redis: dict[str, Any]
) -> None:
    port = free_port()
    place = install(smtp_url=f"smtp+plain://127.0.0.1:{port}", **celery_on_redis)
    with ScriptedSmtp({"rcpt": DENIED}, port=port) as server:
        letters(place, 100)
        place.work()
        wait_until(lambda: standing(place).failures >= 2, "a second letter has asked", 30)
        wait_until(lambda: all(t.state in ("queued", "retrying") for t in place.tasks()), "nothing is in hand", 30)
        asked = server.verbs().count("RCPT")
        assert asked <= 3
        before = standing(place).failures
        ask_now(place)
        wait_until(lambda: standing(place).failures > before, "the next letter asks", 20)
        assert server.verbs().count("RCPT") <= asked + 1
        server.follow({})
        ask_now(place)
        wait_until(lambda: all_sent(place), "everything goes", 30)
        assert len(server.accepted) == 100
    letters(place, 20)
    wait_until(lambda: standing(place).is_open, "the server is down, and mail stands still", 40)
    assert standing(place).kind == circuit_breaker.LINE
    letters(place, 1)
    with ScriptedSmtp(port=port) as server:
        ask_now(place)
        wait_until(lambda: all_sent(place), "everything goes at once", 30)
        assert len(server.accepted) == 21
    assert failures(place) == 0
    words = log_of(place)
    assert words.count("mail stands still") == 2
    assert words.count("mail moves again") == 2


def test_a_server_that_misses_one_connection_is_asked_again_at_once(install: Callable[..., Installation]) -> None:
    with ScriptedSmtp({"greet": [say("421 4.3.2 restarting", drop=True)]}) as server:
        place = install(smtp_url=server.url())
        letters(place, 20)
        place.work()
        wait_until(lambda: all_sent(place), "everything goes", 20)
        assert failures(place) == 0
        assert "stands still" not in log_of(place)
