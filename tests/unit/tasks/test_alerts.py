"""Failures are told once for each kind, again while they go on, and never about alerts themselves."""

from __future__ import annotations

import json
import threading

import pytest
import sqlalchemy as sa
from tests.unit.storage.conftest import entry

from steward.installation.container import Steward
from steward.installation.settings import load
from steward.storage import access
from steward.storage import schedules as rows
from steward.storage.database.schema.tables import incident_events, incidents, tasks
from steward.storage.fleet import circuit_breaker, pauses
from steward.storage.incidents import AWAY, IncidentEvent
from steward.storage.tasks import acceptance
from steward.system.clock import SECOND, now
from steward.tasks.alerts import LONGEST, QUIET, identified

START = now()
WINDOW = 3600 * SECOND


@pytest.fixture(params=["sqlite", "postgresql"])
def install(request, tmp_path):
    made = []
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")

    def install(**settings) -> Steward:
        given = {"data_dir": tmp_path / "data", "database_url": url, "free_space_mb": 0} | settings
        steward = Steward(load(**({"alert_to": "ops@example.org, boss@example.org"} | given)))
        made.append(steward)
        return steward

    yield install
    for steward in made:
        steward.close()


def fail(steward: Steward, count: int = 1, error: str = "550 No such user", name: str = "welcome_email", at=START):
    entries = [entry(name=name) for _ in range(count)]
    ids = [e.id for e in entries]

    def change(connection):
        acceptance.accept(connection, entries)
        ended = tasks.update().where(tasks.c.id.in_(ids))
        connection.execute(ended.values(state="failed", error=error, finished_at=at))

    steward.ledger.apply(change)
    return ids


def payloads(steward: Steward, ids: list[str]) -> list[dict]:
    return [dict(steward.service.get_status(i).payload) for i in ids]


def test_five_hundred_failures_are_one_message(install):
    steward = install()
    ids = fail(steward, 500)
    assert steward.alerts.look(START) == []
    told = steward.alerts.look(START + QUIET)
    assert len(told) == 1
    payload = payloads(steward, told)[0]
    assert payload["to"] == ["ops@example.org", "boss@example.org"]
    assert [i["what"] for i in payload["incidents"]] == ["Welcome email failed 500 times"]
    assert payload["incidents"][0]["reason"] == "550 No such user"
    assert payload["incidents"][0]["link"].rpartition("/")[2] in ids
    assert payload["incidents"][0]["all"].endswith("/?show=failed&name=welcome_email")
    assert steward.alerts.look(START + QUIET + SECOND) == []


def test_a_failure_that_goes_on_is_summed_up_once_a_window(install):
    steward = install()
    fail(steward)
    steward.alerts.look(START)
    assert len(steward.alerts.look(START + QUIET)) == 1
    fail(steward, 40, at=START + QUIET)
    assert steward.alerts.look(START + QUIET + 60 * SECOND) == []
    told = steward.alerts.look(START + QUIET + WINDOW)
    assert payloads(steward, told)[0]["incidents"][0]["what"] == (
        "Welcome email goes on failing: 40 more since the last message, 41 in all"
    )


def test_when_it_is_over_the_next_failure_is_told_at_once(install):
    steward = install()
    fail(steward)
    steward.alerts.look(START)
    steward.alerts.look(START + QUIET)
    later = START + 2 * WINDOW
    assert steward.alerts.look(later) == []
    fail(steward, at=later)
    steward.alerts.look(later)
    told = steward.alerts.look(later + QUIET)
    assert payloads(steward, told)[0]["incidents"][0]["what"] == "Welcome email failed"


def test_a_stream_of_failures_does_not_put_the_first_message_off_for_ever(install):
    steward = install()
    told = []
    for second in range(0, LONGEST // SECOND + 2, 5):
        fail(steward, at=START + second * SECOND)
        told += steward.alerts.look(START + second * SECOND)
    assert len(told) == 1


def test_kinds_that_are_ripe_together_share_a_message(install):
    steward = install()
    for n in range(30):
        fail(steward, error=f"reason {'abcdefghijklmnopqrstuvwxyzABCD'[n]}")
    steward.alerts.look(START)
    told = steward.alerts.look(START + QUIET)
    assert len(told) == 1
    payload = payloads(steward, told)[0]
    assert (len(payload["incidents"]), payload["more"]) == (20, 10)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("450 try 17 ada@example.org", "450 try 18 grace@example.net", True),
        ("the file 'a.pdf' is gone", "the file 'b.pdf' is gone", True),
        ("task 019ab0c2-5289-7ad3-8e66-13b1efff8f58", "task 019ab0c2-5289-7ad3-8e66-13b1efff8f59", True),
        ("no route", "no memory", False),
    ],
)
def test_particulars_do_not_make_another_kind(one, other, alike):
    digests = {identified(IncidentEvent("failed", "x", words, "i", 1, "i")).digest for words in (one, other)}
    assert (len(digests) == 1) is alike


def test_no_address_is_kept_in_a_reason(install):
    steward = install()
    fail(steward, error="550 <ada@example.org> is unknown here")
    steward.alerts.look(START)
    with steward.ledger.read() as connection:
        assert connection.scalar(sa.select(incidents.c.reason)) == "550 <…> is unknown here"


def test_alerts_that_fail_are_never_told(install):
    steward = install()
    fail(steward, name="alert")
    fail(steward, name="alert_webhook")
    steward.alerts.look(START)
    assert steward.alerts.look(START + LONGEST) == []


def test_a_task_that_fails_again_after_a_retry_is_counted_again(install):
    steward = install()
    task_id = fail(steward)[0]
    steward.alerts.look(START)
    steward.ledger.apply(
        lambda c: c.execute(tasks.update().where(tasks.c.id == task_id).values(finished_at=START + SECOND))
    )
    steward.alerts.look(START + 2 * SECOND)
    with steward.ledger.read() as connection:
        assert connection.scalar(sa.select(incidents.c.count)) == 2


def test_a_lane_that_stands_still_is_told_once(install):
    steward = install()
    steward.ledger.apply(lambda c: pauses.stop_lane(c, "smtp", "535 bad password", START, START))
    steward.alerts.look(START)
    told = steward.alerts.look(START + QUIET)
    shown = payloads(steward, told)[0]["incidents"][0]
    assert (shown["what"], shown["reason"]) == ("Mail stands still", "535 bad password")
    steward.ledger.apply(lambda c: pauses.stop_lane(c, "smtp", "535 again", START + SECOND, START))
    assert steward.alerts.look(START + QUIET + LONGEST) == []


def test_a_mail_server_that_is_away_is_told_of_after_five_minutes_and_once_more_when_it_is_back(install):
    steward = install()
    for n in range(3):
        steward.ledger.apply(lambda c, n=n: circuit_breaker.unreachable(c, "refused", START + n * 2 * SECOND))
    stopped = START + 4 * SECOND
    for at in (stopped, stopped + QUIET, stopped + AWAY - 1):
        assert steward.alerts.look(at) == []
    steward.alerts.look(stopped + AWAY)
    told = steward.alerts.look(stopped + AWAY + QUIET)
    assert [p["incidents"][0]["what"] for p in payloads(steward, told)] == ["Mail stands still"]
    assert steward.alerts.look(stopped + 2 * AWAY) == []
    back = stopped + 3 * AWAY
    steward.ledger.apply(lambda c: circuit_breaker.passed(c, back))
    told = steward.alerts.look(back + SECOND)
    assert [p["incidents"][0]["what"] for p in payloads(steward, told)] == ["Mail moves again"]
    assert steward.alerts.look(back + 2 * SECOND) == []


@pytest.mark.parametrize("seconds", [3, 60, 299])
def test_a_mail_server_that_is_back_within_five_minutes_is_nobodys_alert(install, seconds):
    steward = install()
    for n in range(3):
        steward.ledger.apply(lambda c, n=n: circuit_breaker.unreachable(c, "refused", START + n * 2 * SECOND))
    assert steward.alerts.look(START + seconds * SECOND) == []
    steward.ledger.apply(lambda c: circuit_breaker.passed(c, START + seconds * SECOND))
    for later in (1, 400, 4000):
        assert steward.alerts.look(START + (seconds + later) * SECOND) == []


def test_a_missed_schedule_is_told_to_its_owner_too(install):
    steward = install()
    made = steward.schedules.make("purge", {}, "0 6 * * *", owner="sam@example.org")
    begin = START - 3 * 24 * 3600 * SECOND
    steward.ledger.apply(lambda c: rows.move(c, made.entry.id, made.entry.next_at, begin))
    steward.scheduler.fire(START)
    steward.alerts.look(START)
    told = payloads(steward, steward.alerts.look(START + QUIET))
    assert [p["to"] for p in told] == [["ops@example.org", "boss@example.org"], ["sam@example.org"]]
    assert {p["incidents"][0]["what"].partition(",")[0] for p in told} == {"Purge was not made on time"}
    assert told[1]["incidents"][0]["link"].endswith("/schedules")


def test_operators_are_told_of_a_schedule_whose_owner_was_shut_out_and_the_owner_is_not(install):
    steward = install()
    key, _ = steward.ledger.apply(lambda c: access.create_key(c, "sam@example.org", ["operate"]))
    with steward.ledger.read() as connection:
        owner = access.standing(connection, key.id)
    made = steward.schedules.make("purge", {}, "0 6 * * *", caller=owner)
    steward.ledger.apply(lambda c: access.revoke_key(c, key.id))
    steward.ledger.apply(lambda c: rows.move(c, made.entry.id, made.entry.next_at, START))
    assert steward.scheduler.fire(START) == []
    steward.alerts.look(START)
    told = payloads(steward, steward.alerts.look(START + QUIET))
    assert [p["to"] for p in told] == [["ops@example.org", "boss@example.org"]]
    (incident,) = told[0]["incidents"]
    assert incident["what"] == "The schedule of Purge rests: who made it may not ask for it any more"
    assert incident["reason"].startswith("It was made by")
    assert incident["link"].endswith("/schedules")


def test_webhooks_get_a_task_each_and_their_address_stays_in_the_settings(install):
    steward = install(alert_urls="json://hook.example.org/s3cret  mailto://x@example.org")
    fail(steward)
    steward.alerts.look(START)
    told = steward.alerts.look(START + QUIET)
    assert len(told) == 3
    with steward.ledger.read() as connection:
        found = connection.execute(sa.select(tasks.c.name, tasks.c.payload, tasks.c.sealed).where(tasks.c.id.in_(told)))
        by_name = [(r.name, r.payload, r.sealed) for r in found]
    hooks = [row for row in by_name if row[0] == "alert_webhook"]
    assert len(hooks) == 2
    assert sorted(json.loads(payload)["number"] for _, payload, _ in hooks) == [1, 2]
    assert all("example.org" not in payload and sealed is None for _, payload, sealed in hooks)
    assert "Welcome email failed" in json.loads(hooks[0][1])["title"]


def test_nobody_to_tell_is_no_error_and_nothing_is_told_later(install, caplog):
    steward = install(alert_to="")
    fail(steward)
    steward.alerts.look(START)
    assert steward.alerts.look(START + QUIET) == []
    assert "STEWARD_ALERT_TO" in caplog.text
    later = install()
    assert later.alerts.look(START + LONGEST) == []


def test_processes_that_look_at_once_tell_once(install):
    several = [install() for _ in range(6)]
    fail(several[0], 300)
    start, told = threading.Barrier(6), []

    def look(steward: Steward) -> None:
        start.wait()
        steward.alerts.look(START)
        told.extend(steward.alerts.look(START + QUIET))

    for steward in several:
        assert steward.alerts  # opened before the race
    threads = [threading.Thread(target=look, args=(s,)) for s in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(told) == 1
    assert payloads(several[0], told)[0]["incidents"][0]["what"] == "Welcome email failed 300 times"


def test_what_is_long_over_is_forgotten(install):
    steward = install()
    fail(steward)
    steward.alerts.look(START)
    steward.alerts.look(START + QUIET)
    steward.ledger.apply(lambda c: c.execute(incidents.update().values(closed_at=START - 31 * 24 * 3600 * SECOND)))
    assert steward.alerts.prune() == 1
    with steward.ledger.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(incident_events)) == 0
