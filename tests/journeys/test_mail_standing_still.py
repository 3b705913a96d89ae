"""A mail server that is dead, mute or refuses us: one question at a time, nothing is counted, and all goes at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from tests.journeys.installation import Installation
from tests.servers.ports import free_port, wait_until
from tests.servers.scripted_smtp import ScriptedSmtp, say

from steward.clock import now
from steward.ledger import mail_lane
from steward.ledger.schema import lanes, tasks

DENIED = say("554 5.7.1 Relay access denied")


def standing(place: Installation) -> mail_lane.Standing:
    with place.steward.ledger.read() as connection:
        return mail_lane.standing(connection)


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


def all_sent(place: Installation) -> bool:
    return {task.state for task in place.tasks()} == {"succeeded"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_will_not_relay_hears_one_letter_at_a_time_and_the_rest_wait(
    install: Callable[..., Installation], workers: int
) -> None:
    with ScriptedSmtp({"rcpt": DENIED}) as server:
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
    assert standing(place) == mail_lane.Standing()


def test_a_server_that_misses_one_connection_is_asked_again_at_once(install: Callable[..., Installation]) -> None:
    with ScriptedSmtp({"greet": [say("421 4.3.2 restarting", drop=True)]}) as server:
        place = install(smtp_url=server.url())
        letters(place, 20)
        place.work()
        wait_until(lambda: all_sent(place), "everything goes", 20)
        assert failures(place) == 0
        assert "stands still" not in log_of(place)
