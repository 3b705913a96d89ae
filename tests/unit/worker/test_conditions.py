"""What stands in the way: each kind is told while it lasts, in words for everybody and details for operators."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from steward.cli.checks import working
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.model.states import State
from steward.storage import schedules
from steward.storage.database.schema.tables import tasks
from steward.storage.fleet import heartbeat, leases, pauses, workers
from steward.storage.schedules import StoredSchedule
from steward.storage.tasks import acceptance
from steward.system.clock import SECOND, new_id, now
from steward.web.health import readiness
from steward.worker import slots
from steward.worker.conditions import MAIL, MISSED_FOR, UNSERVED_FOR, conditions
from steward.worker.engines.celery.publisher import BROKER
from steward.worker.engines.celery.publisher import DUTY as RELAY

SECRET_WORDS = "535 5.7.8 bad credentials for mailer@example.org"


@pytest.fixture
def steward(tmp_path):
    (tmp_path / "plugins").mkdir()
    made = Steward(load(data_dir=tmp_path / "data", plugins_dir=tmp_path / "plugins", free_space_mb=0))
    made.ledger.open()
    yield made
    made.close()


def at_work(steward, engine="durable"):
    steward.ledger.apply(lambda c: workers.register(c, new_id(), "host", "slot-0", 1, engine, None, now()))


def kinds(steward, at=None):
    return [each.kind for each in conditions(steward, at)]


def plan(steward, name="backup"):
    entry = StoredSchedule(new_id(), name, "person", "0 3 * * *", "UTC", "once", "{}", "", now(), None)
    steward.ledger.apply(lambda c: schedules.add(c, entry))
    return entry.id


def test_nothing_stands_in_the_way_of_a_healthy_service(steward):
    at_work(steward)
    assert conditions(steward) == []
    assert readiness(steward) == (True, {"status": "ready", "engine": "durable", "workers": 1})


def test_without_a_worker_nothing_is_performed_and_the_service_is_not_ready(steward):
    assert kinds(steward) == ["workers"]
    at_work(steward, "celery")  # of another engine: it does not count
    assert kinds(steward) == ["workers"]
    ready, report = readiness(steward)
    assert not ready
    assert report["reasons"] == ["No worker is running; what is accepted waits until one starts."]


@pytest.mark.parametrize(
    ("lane", "kind", "said"), [(MAIL, "mail", "Mail stands still"), (BROKER, "broker", "The broker cannot be reached")]
)
def test_what_stands_still_is_told_to_all_and_why_to_operators_alone(steward, lane, kind, said):
    at_work(steward)
    began = now() - 60 * SECOND
    steward.ledger.apply(lambda c: pauses.stop_lane(c, lane, SECRET_WORDS, began, began))
    [found] = conditions(steward)
    assert (found.kind, found.blocks) == (kind, False)
    assert found.words.startswith(said)
    assert round(found.since.timestamp() * SECOND) == began
    ready, report = readiness(steward)
    assert ready
    assert report["warnings"][0].startswith(said)
    assert "mailer@example.org" not in str(report)
    assert SECRET_WORDS in str(readiness(steward, detailed=True)[1])
    steward.ledger.apply(lambda c: pauses.start_lane(c, lane))
    assert kinds(steward) == []


def test_the_relay_to_a_broker_is_a_part_of_readiness(tmp_path):
    settings = {"engine": "celery", "broker_url": "redis://127.0.0.1:1/0"}
    made = Steward(load(data_dir=tmp_path / "data", free_space_mb=0, **settings))
    made.ledger.open()
    try:
        at_work(made, "celery")
        assert kinds(made) == ["relay"]
        assert readiness(made)[1]["broker"] == "unknown"
        made.ledger.apply(lambda c: leases.hold(c, RELAY, "me", now(), now() + 60 * SECOND))
        assert kinds(made) == []
        assert readiness(made)[1]["broker"] == "reachable"
    finally:
        made.close()


def test_a_broken_plugin_and_one_that_has_gone_are_told(steward, tmp_path):
    (tmp_path / "plugins" / "broken.py").write_text("1 / 0\n")
    broken = Steward(steward.settings)
    at_work(broken)
    entry = acceptance.NewTask(
        id=new_id(), name="gone", state=State.BLOCKED, lane="mail", priority=0, payload="{}", sealed=None,
        recipient=None, requested_by="", created_at=now(), due_at=now(), expires_at=None,
    )  # fmt: skip
    broken.ledger.apply(lambda c: acceptance.accept(c, [entry, replace(entry, id=new_id())]))
    plan(broken, "gone")
    found = {each.kind: each for each in conditions(broken)}
    assert set(found) == {"blocked", "schedule", "plugin"}
    assert found["blocked"].words.startswith("2 tasks wait")
    assert found["schedule"].detail == "gone"
    assert "broken" in found["plugin"].words
    assert "ZeroDivisionError" in found["plugin"].detail
    assert "ZeroDivisionError" not in str(readiness(broken)[1])
    broken.close()


def test_a_missed_run_is_told_for_a_day_or_until_the_next_comes_in_time(steward):
    at_work(steward)
    schedule, due = plan(steward), now() - 3600 * SECOND
    steward.ledger.apply(lambda c: schedules.record(c, schedule, due, "missed", due, None))
    [found] = conditions(steward, due + SECOND)
    assert (found.kind, found.detail) == ("missed", "backup")
    assert "page of schedules" in found.remedy
    workers_gone = due + MISSED_FOR + SECOND
    assert "missed" not in kinds(steward, workers_gone)
    steward.ledger.apply(lambda c: schedules.record(c, schedule, due + SECOND, "fired", due + SECOND, new_id()))
    assert kinds(steward, due + 2 * SECOND) == []


def test_a_missed_run_that_was_made_up_for_asks_for_nothing(steward):
    at_work(steward)
    schedule, due = plan(steward), now() - 3600 * SECOND
    steward.ledger.apply(lambda c: schedules.record(c, schedule, due, "missed", due, new_id()))
    [found] = conditions(steward, due + SECOND)
    assert "made up for" in found.words
    assert found.remedy == ""


def test_a_full_disk_blocks_and_comes_first(tmp_path):
    made = Steward(load(data_dir=tmp_path / "data", free_space_mb=0))
    made.ledger.open()
    made.ledger.apply(lambda c: pauses.stop_lane(c, MAIL, "no", now(), now()))
    full = Steward(load(data_dir=tmp_path / "data", free_space_mb=1_000_000_000))
    assert kinds(full) == ["workers", "space", "mail"]
    made.close()
    full.close()


def test_a_store_that_another_program_has_locked_is_told_with_its_process(steward):
    at_work(steward)
    with closing(sqlite3.connect(steward.ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (found,) = [each for each in conditions(steward) if each.kind == "lock"]
        assert found.blocks
        assert f"locked by process {os.getpid()} (" in found.words
        assert str(steward.ledger.path) not in found.words
        other.execute("ROLLBACK")
    assert conditions(steward) == []


def test_a_worker_that_writes_just_now_stands_in_nobody_s_way(steward):
    at_work(steward)
    slot = slots.take(steward.slots_folder)
    with steward.ledger.write():
        assert conditions(steward) == []
    slot.release()


def lie(steward, lane="mail", due_at=None, state=State.QUEUED, **values):
    """Let a task lie in a lane since `due_at`."""
    due_at = now() if due_at is None else due_at
    entry = acceptance.NewTask(
        id=new_id(), name="letter", state=state, lane=lane, priority=0, payload="{}", sealed=None,
        recipient=None, requested_by="", created_at=due_at, due_at=due_at, expires_at=None,
    )  # fmt: skip
    steward.ledger.apply(lambda c: acceptance.accept(c, [entry]))
    if values:
        steward.ledger.apply(lambda c: c.execute(tasks.update().where(tasks.c.id == entry.id).values(**values)))


def unserved(steward, at=None):
    return [each for each in conditions(steward, at) if each.kind == "unserved"]


def fails(steward):
    return [said for level, said, *_ in working(steward) if level == "FAIL"]


def test_a_lane_that_this_version_does_not_know_is_told_at_once(steward):
    at_work(steward)
    lie(steward, "mail")
    assert unserved(steward) == []
    lie(steward, "fast")
    lie(steward, "express")
    [found] = unserved(steward)
    assert (found.words, found.detail) == (
        "2 tasks wait in a lane that this version does not know", "express, fast",
    )  # fmt: skip
    assert readiness(steward)[0] is False
    assert len(fails(steward)) == 1


@pytest.mark.parametrize("other", [None, "celery"])
def test_work_that_nobody_takes_is_told_after_a_while(steward, other):
    begun = now()
    lie(steward, due_at=begun - UNSERVED_FOR)
    if other:
        at_work(steward, other)
    assert unserved(steward, begun - SECOND) == []
    [found] = unserved(steward, begun + SECOND)
    assert ("celery" in found.detail) == bool(other)
    assert "no worker takes them" in found.words
    assert readiness(steward)[0] is False
    assert fails(steward)
    at_work(steward)
    assert unserved(steward) == []


@pytest.fixture
def celery(tmp_path):
    settings = {"engine": "celery", "broker_url": "redis://127.0.0.1:1/0"}
    made = Steward(load(data_dir=tmp_path / "celery", free_space_mb=0, **settings))
    made.ledger.open()
    began = now() - 2 * UNSERVED_FOR
    made.ledger.apply(lambda c: workers.register(c, "w", "host", "slot-0", 1, "celery", None, began))
    made.ledger.apply(lambda c: heartbeat.beat(c, "w", now()))
    made.ledger.apply(lambda c: leases.hold(c, RELAY, "me", now(), now() + 60 * SECOND))
    yield made
    made.close()


LONG_AGO = 2 * UNSERVED_FOR
SERVED = {
    "something of it is performed": {"state": State.RUNNING, "worker": "w", "claim": "c"},
    "something of it was performed lately": {"state": State.SUCCEEDED, "finished_at": 1},
    "something of it failed lately": {"state": State.FAILED, "finished_at": 1},
}


def test_a_lane_that_no_stock_worker_serves_is_told(celery):
    lie(celery, "reports", now() - LONG_AGO, handed_at=now() - LONG_AGO)
    lie(celery, "mail", now())
    lie(celery, "mail", now() - LONG_AGO, state=State.SUCCEEDED, started_at=now(), finished_at=now())
    [found] = unserved(celery)
    assert (found.detail, found.blocks) == ("reports", True)
    assert fails(celery)


@pytest.mark.parametrize("sign", SERVED.values(), ids=list(SERVED))
def test_a_lane_that_moves_is_served_however_long_its_queue(celery, sign):
    lie(celery, "reports", now() - LONG_AGO)
    lie(celery, "reports", now() - LONG_AGO, started_at=now(), **sign)
    assert unserved(celery) == []


def test_what_stands_still_for_another_reason_is_told_once(celery):
    lie(celery, "reports", now() - LONG_AGO)
    celery.ledger.apply(lambda c: pauses.stop_lane(c, BROKER, "no", now(), now()))
    assert kinds(celery) == ["broker"]
