"""Schedules that fire once, are missed, and are made up for, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import threading
import types
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, Field

from steward import Note, Schedule, Secret, handler, hookimpl
from steward.errors import InvalidOption, InvalidPayload, KeyConflict, StateConflict, UnknownSchedule, Unsupported
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.plugins.registry import load as load_plugins
from steward.storage import schedules as rows
from steward.storage.database.schema.tables import schedules, tasks
from steward.storage.fleet.wall_clock import ClockReading
from steward.storage.maintenance import retention
from steward.system.clock import SECOND, micros

MINUTE = 60 * SECOND


class Nothing(BaseModel):
    who: str = "all"


class Kept(BaseModel):
    word: Secret


@handler(example=Nothing(), lane="jobs", schedules=(Schedule("0 6 * * *", zone="Europe/Berlin"),))
def tidy(order: Nothing) -> Note:
    """Tidy up."""
    return Note("Tidied.")


@handler(example=Nothing(), lane="jobs")
def count(order: Nothing) -> Note:
    """Count."""
    return Note("Counted.")


class Span(BaseModel):
    grant: str
    begin: date = Field(json_schema_extra={"schedule_period": "first"})
    end: date = Field(json_schema_extra={"schedule_period": "last"})


@handler(example=Span(grant="DOL", begin=date(2026, 1, 1), end=date(2026, 3, 31)), lane="jobs")
def account(span: Span) -> Note:
    """Account for a span of time."""
    return Note(f"{span.begin} to {span.end}")


@handler(example=Kept(word=Secret("x")), lane="jobs")
def whisper(order: Kept) -> Note:
    """Say it once."""
    return Note("Said.")


def plugin(*handlers):
    module = types.ModuleType("small")
    module.register_handlers = hookimpl(lambda: list(handlers))
    return module


def at(*parts: int) -> int:
    return micros(datetime(*parts, tzinfo=UTC))


@pytest.fixture(params=["sqlite", "postgresql"])
def install(request, tmp_path):
    made = []
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")

    def install(*handlers, **settings) -> Steward:
        given = {"data_dir": tmp_path / "data", "database_url": url, "free_space_mb": 0} | settings
        steward = Steward(load(**given))
        # Without the shipped plugins, which have schedules of their own.
        small = plugin(*(handlers or (tidy, count, whisper, account)))
        steward.registry = load_plugins([], entry_points=False, extra=(small,))
        made.append(steward)
        return steward

    yield install
    for steward in made:
        steward.close()


def tasks_of(steward: Steward, name: str = "tidy") -> list[str]:
    with steward.ledger.read() as connection:
        return list(connection.scalars(sa.select(tasks.c.id).where(tasks.c.name == name)))


def the(steward: Steward, name: str = "tidy"):
    return next(s for s in steward.schedules.find() if s.entry.name == name)


def outcomes(steward: Steward, name: str = "tidy") -> list[str]:
    return [f.outcome for f in reversed(steward.schedules.history(the(steward, name).entry.id))]


def test_a_declared_schedule_fires_in_its_zone_and_once(install):
    steward = install()
    steward.scheduler.declare(at(2026, 7, 1, 12))
    assert the(steward).entry.next_at == at(2026, 7, 2, 4)
    assert steward.scheduler.fire(at(2026, 7, 2, 3, 59, 59)) == []
    made = steward.scheduler.fire(at(2026, 7, 2, 4))
    assert len(made) == 1
    assert steward.scheduler.fire(at(2026, 7, 2, 4, 0, 1)) == []
    task = steward.service.get_status(made[0])
    assert (task.name, task.state, task.requested_by, task.payload) == ("tidy", "queued", "schedule", {"who": "all"})
    assert outcomes(steward) == ["fired"]
    assert the(steward).last.task_id == task.id


def test_eight_processes_that_look_at_once_make_one_task(install, tmp_path):
    first = install()
    first.scheduler.declare(at(2026, 7, 1, 12))
    several = [install() for _ in range(8)]
    for steward in several:
        assert steward.scheduler  # opened before the race
        assert the(steward)
    start, made = threading.Barrier(8), []

    def look(steward: Steward) -> None:
        start.wait()
        made.extend(steward.scheduler.fire(at(2026, 7, 2, 4)))

    threads = [threading.Thread(target=look, args=(steward,)) for steward in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1
    assert tasks_of(first) == made


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("skip", 0), ("once", 1), ("all", 3)],
)
def test_what_was_missed_is_recorded_and_follows_the_policy(install, policy, expected):
    steward = install()
    made = steward.schedules.make("count", {}, "0 6 * * *", missed=policy, owner="Ada")
    steward.ledger.apply(lambda c: rows.move(c, made.entry.id, made.entry.next_at, at(2026, 7, 1, 6)))
    steward.scheduler.fire(at(2026, 7, 3, 18))
    assert outcomes(steward, "count") == ["missed"] * 3
    assert len(tasks_of(steward, "count")) == expected
    assert the(steward, "count").entry.next_at == at(2026, 7, 4, 6)
    # The one that is due after that fires as if nothing had happened.
    steward.scheduler.fire(at(2026, 7, 4, 6, 0, 30))
    assert outcomes(steward, "count")[-1] == "fired"
    assert len(tasks_of(steward, "count")) == expected + 1


def test_a_month_of_missed_minutes_is_recorded_whole(install):
    steward = install()
    made = steward.schedules.make("count", {}, "* * * * *", missed="once")
    begin = at(2026, 7, 1)
    steward.ledger.apply(lambda c: rows.move(c, made.entry.id, made.entry.next_at, begin))
    steward.scheduler.fire(begin + 2000 * MINUTE)
    with steward.ledger.read() as connection:
        assert len(rows.fired(connection, made.entry.id, 0)) == 2001
    assert len(tasks_of(steward, "count")) == 1


def test_a_clock_that_is_set_back_fires_nothing_twice(install):
    steward = install()
    steward.scheduler.declare(at(2026, 7, 1, 12))
    assert len(steward.scheduler.fire(at(2026, 7, 2, 4))) == 1
    # The clock goes back an hour, the service starts again, and the same moment comes a second time.
    again = install()
    again.scheduler.declare(at(2026, 7, 2, 3))
    assert the(again).entry.next_at == at(2026, 7, 3, 4)
    assert again.scheduler.fire(at(2026, 7, 2, 4)) == []
    assert len(tasks_of(again)) == 1


def test_a_schedule_whose_plugin_is_missing_waits_with_its_pause_and_all(install):
    steward = install()
    steward.scheduler.declare(at(2026, 7, 1, 12))
    bare = install(count)
    bare.scheduler.declare(at(2026, 7, 1, 13))
    assert bare.scheduler.fire(at(2026, 7, 2, 4)) == []
    assert the(bare).entry.next_at == at(2026, 7, 2, 4)
    back = install()
    assert len(back.scheduler.fire(at(2026, 7, 2, 4, 0, 5))) == 1


def test_a_declaration_that_is_withdrawn_goes_and_a_person_s_schedule_stays(install):
    steward = install(schedules=json.loads('[{"name": "count", "cron": "0 4 * * 0", "payload": {"who": "us"}}]'))
    steward.schedules.make("tidy", {}, "0 5 * * *", owner="Ada")
    steward.scheduler.declare()
    assert {s.entry.origin for s in steward.schedules.find() if s.entry.name == "count"} == {"setting"}
    other = install()
    other.scheduler.declare()
    assert "setting" not in {s.entry.origin for s in other.schedules.find()}
    assert {s.entry.origin for s in other.schedules.find() if s.entry.name == "tidy"} == {"person", "plugin"}


def test_a_rest_is_kept_over_a_restart_and_counts_nothing_as_missed(install):
    steward = install()
    steward.scheduler.declare(at(2026, 7, 1, 12))
    steward.schedules.pause(the(steward).entry.id, by="Olga")
    steward.scheduler.declare(at(2026, 7, 5, 12))
    assert steward.scheduler.fire(at(2026, 7, 5, 13)) == []
    resting = the(steward)
    assert (resting.entry.paused_by, resting.entry.next_at, resting.next) == ("Olga", None, ())
    resumed = steward.schedules.resume(resting.entry.id)
    assert resumed.entry.paused_at is None
    assert resumed.entry.next_at is not None
    assert outcomes(steward) == []


def test_run_now_makes_its_task_beside_the_times(install):
    steward = install()
    steward.scheduler.declare()
    before = the(steward).entry.next_at
    task_id = steward.schedules.run(the(steward).entry.id, by="Olga")
    assert steward.service.get_status(task_id).requested_by == "Olga"
    assert outcomes(steward) == ["by hand"]
    assert the(steward).entry.next_at == before


def test_a_person_s_schedule_is_made_once_per_form_and_can_be_deleted(install):
    steward = install()
    made = [steward.schedules.make("count", {"who": "us"}, "0 7 1 */3 *", owner="Ada", key="t1") for _ in range(2)]
    assert made[0].entry.id == made[1].entry.id
    for name, given, cron in (("tidy", {}, "0 7 1 */3 *"), ("count", {"who": "them"}, "0 7 1 */3 *")):
        with pytest.raises(KeyConflict, match=f"the schedule {made[0].entry.id}"):
            steward.schedules.make(name, given, cron, key="t1")
    assert made[0].words == "every quarter on the first day at 07:00"
    assert len(made[0].next) == 3
    steward.schedules.remove(made[0].entry.id)
    with pytest.raises(UnknownSchedule, match="steward schedule list"):
        steward.schedules.get(made[0].entry.id)
    steward.scheduler.declare()
    with pytest.raises(StateConflict, match="Pause it"):
        steward.schedules.remove(the(steward).entry.id)


def test_what_could_not_be_accepted_cannot_be_scheduled(install):
    steward = install()
    with pytest.raises(InvalidPayload, match="there is no such field"):
        steward.schedules.make("count", {"whom": "us"}, "0 7 * * *")
    with pytest.raises(InvalidOption, match="secret"):
        steward.schedules.make("whisper", {"word": "hush"}, "0 7 * * *")
    with pytest.raises(InvalidOption, match="time zone"):
        steward.schedules.make("count", {}, "0 7 * * *", "Mars/Olympus")


def test_the_simple_engine_says_that_it_has_no_schedules(install):
    steward = install(engine="background")
    with pytest.raises(Unsupported, match="STEWARD_ENGINE=durable"):
        steward.schedules.make("count", {}, "0 7 * * *")


def test_the_days_of_a_report_move_along_with_its_schedule(install):
    steward = install()
    asked = {"grant": "DOL", "begin": "2026-01-01", "end": "2026-03-31"}
    made = steward.schedules.make("account", asked, "0 6 1 1,4,7,10 *", "America/Chicago", owner="Ada", missed="all")
    steward.ledger.apply(lambda c: rows.move(c, made.entry.id, made.entry.next_at, at(2026, 7, 1, 11)))
    steward.scheduler.fire(at(2027, 1, 1, 12))
    spans = [steward.service.get_status(i).payload for i in tasks_of(steward, "account")]
    assert sorted((s["begin"], s["end"], s["grant"]) for s in spans) == [
        ("2026-04-01", "2026-06-30", "DOL"),
        ("2026-07-01", "2026-09-30", "DOL"),
        ("2026-10-01", "2026-12-31", "DOL"),
    ]
    assert steward.schedules.get(made.entry.id).as_json()["payload"] == asked


def test_a_person_is_not_forgotten_while_a_schedule_writes_to_them(install):
    steward = install()
    made = steward.schedules.make("count", {"who": "Ada@example.org"}, "0 6 1 * *", owner="Olga")
    with steward.ledger.write() as connection, pytest.raises(StateConflict, match="steward schedule list"):
        retention.tasks_of(connection, "ada@example.org")
    steward.schedules.remove(made.entry.id)
    with steward.ledger.read() as connection:
        assert retention.tasks_of(connection, "ada@example.org") == []


def test_a_zone_that_is_not_known_here_holds_up_no_other_schedule(install, caplog):
    steward = install()
    steward.scheduler.declare(at(2026, 7, 1, 12))
    lost = steward.schedules.make("count", {}, "0 4 * * *").entry
    change = schedules.update().where(schedules.c.id == lost.id)
    steward.ledger.apply(lambda c: c.execute(change.values(zone="Mars/Olympus", next_at=at(2026, 7, 2, 3))))
    assert len(steward.scheduler.fire(at(2026, 7, 2, 4))) == 1
    assert "Mars/Olympus" in caplog.text
    assert steward.schedules.get(lost.id).next == ()
    steward.scheduler.declare(at(2026, 7, 2, 5))


def clock(elapsed: int, jump: int = 0) -> ClockReading:
    """Return both clocks, `elapsed` after noon; the wall clock has been set by `jump`."""
    return ClockReading("here", "boot", at(2026, 7, 1, 12) + elapsed + jump, 1_000_000_000 + elapsed)


@pytest.mark.parametrize("hours", [-1, 1, -25, 30])
def test_a_clock_that_is_set_lets_nothing_stand_still_and_fires_nothing_twice(install, hours):
    jump = hours * 60 * MINUTE
    each_minute = Schedule("* * * * *", missed="all")

    @handler(example=Nothing(), lane="jobs", schedules=(each_minute,))
    def tick(order: Nothing) -> Note:
        return Note("Ticked.")

    @handler(example=Nothing(), lane="jobs", schedules=(Schedule("30 11 * * *", missed="once"),))
    def daily(order: Nothing) -> Note:
        return Note("Done.")

    steward = install(tick, daily)
    steward.scheduler.declare(clock(-60 * MINUTE).wall)
    for minute in range(-60, 1):  # half past eleven has been
        steward.scheduler.follow_clock(clock(minute * MINUTE))
        steward.scheduler.fire(clock(minute * MINUTE).wall)
    before = len(tasks_of(steward, "tick")), len(tasks_of(steward, "daily"))
    assert before == (60, 1)
    for seconds in range(1, 621, 20):
        reading = clock(seconds * SECOND, jump)
        assert steward.scheduler.follow_clock(reading) == (jump if seconds == 1 else 0)
        steward.scheduler.fire(reading.wall)
    assert len(tasks_of(steward, "tick")) - before[0] == 10, "one for each of the ten minutes that have passed"
    forward = hours == 30  # the next day's appointment was leapt over, and is made up for once
    assert len(tasks_of(steward, "daily")) - before[1] == int(forward)
