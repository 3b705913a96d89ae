"""What a schedule asks for: days cut to what there is, the handler's own rules, and an end with words."""

from __future__ import annotations

import json
import threading
import types
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from steward import Calendar, Note, Rejected, Source, handler, hookimpl
from steward.errors import InvalidOption, InvalidRequest
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.plugins.registry import load as load_plugins
from steward.storage import schedules as rows
from steward.storage.database.schema.tables import schedules
from steward.storage.maintenance import retention
from steward.system.clock import SECOND, micros
from steward.tasks.alerts import QUIET
from steward.tasks.schedules import occurrences as module
from steward.tasks.schedules.occurrences import cut

BEGIN, END = date(2026, 1, 15), date(2026, 8, 31)
OPENED = threading.Event()


class Span(BaseModel):
    who: str = "all"
    begin: date = Field(json_schema_extra={"schedule_period": "first"})
    end: date = Field(json_schema_extra={"schedule_period": "last"})


def life(span: Span) -> tuple[date, date]:
    return BEGIN, END


def look(span: Span, calendar: Calendar) -> None:
    if span.who == "broken":
        raise KeyError("who")
    if span.begin.month == 4:
        raise Rejected("April is not reported on", "Nobody works then", "Choose another month")
    if span.begin > calendar.today():
        raise Rejected("It lies ahead")


@handler(example=Span(begin=BEGIN, end=END), lane="jobs", check=look, span=life)
def account(span: Span) -> Note:
    """Account for a span of time."""
    return Note(f"{span.begin} to {span.end}")


def hang(span: Span, source: Source) -> tuple[date, date]:
    OPENED.wait()
    return BEGIN, END


@handler(example=Span(begin=BEGIN, end=END), lane="jobs", span=hang)
def wait(span: Span) -> Note:
    """Ask a database that gives no answer."""
    return Note("Done.")


def at(*parts: int) -> int:
    return micros(datetime(*parts, tzinfo=UTC))


@pytest.fixture
def install(tmp_path, clock_at):
    made = []

    def install(now: datetime, **settings) -> Steward:
        clock_at(now)
        given = {"data_dir": tmp_path / "data", "free_space_mb": 0, "alert_to": "ops@example.org"} | settings
        steward = Steward(load(**given))
        small = types.ModuleType("small")
        alert = load_plugins(steward.settings.plugin_directories, entry_points=False).handlers["alert"]
        small.register_handlers = hookimpl(lambda: [account, wait, alert])
        steward.registry = load_plugins([], entry_points=False, extra=(small,))
        made.append(steward)
        return steward

    yield install
    for steward in made:
        steward.close()


def make(steward: Steward, cron: str = "0 6 10 * *", period: str = "", name: str = "account", **payload):
    given = {"begin": "2026-02-01", "end": "2026-02-28"} | payload
    return steward.schedules.make(name, given, cron, period=period, owner="sam@example.org", missed="all")


def fire(steward: Steward, made, first: int, until: int) -> list:
    steward.ledger.apply(lambda c: rows.move(c, made.entry.id, made.entry.next_at, first))
    steward.scheduler.fire(until)
    history = steward.schedules.history(made.entry.id)
    return [steward.service.get_status(f.task_id) for f in reversed(history) if f.task_id]


def asked(tasks) -> list[tuple[str, str]]:
    return [(task.payload["begin"], task.payload["end"]) for task in tasks]


def test_the_month_before_is_the_calendar_month_on_whatever_day_it_is_due(install):
    steward = install(datetime(2026, 2, 28, tzinfo=UTC))
    made = make(steward)
    assert (made.entry.period, made.about) == ("month", "the calendar month before")
    assert made.days == (date(2026, 2, 1), date(2026, 2, 28))
    assert made.as_json()["next_days"] == {"first": date(2026, 2, 1), "last": date(2026, 2, 28)}
    tasks = fire(steward, made, at(2026, 3, 10, 6), at(2026, 4, 10, 6))
    assert asked(tasks) == [("2026-02-01", "2026-02-28"), ("2026-03-01", "2026-03-31")]


def test_a_period_is_cut_to_what_there_is_and_the_schedule_ends_with_it_and_says_so(install, clock_at):
    steward = install(datetime(2026, 7, 1, tzinfo=UTC))
    made = make(steward)
    clock_at(datetime(2026, 10, 1, tzinfo=UTC))
    tasks = fire(steward, made, at(2026, 2, 10, 6), at(2026, 12, 24, 6))
    # January from the 15th on; April is refused; August is the last, and nothing comes after it.
    assert asked(tasks)[0] == ("2026-01-15", "2026-01-31")
    assert asked(tasks)[-1] == ("2026-08-01", "2026-08-31")
    assert len(tasks) == 8
    ended = steward.schedules.get(made.entry.id)
    assert ended.entry.ended == "There is nothing to ask for after 31 August 2026."
    assert (ended.entry.next_at, ended.next, ended.days) == (None, (), None)
    assert steward.scheduler.fire(at(2027, 12, 24)) == []
    steward.scheduler.declare(at(2027, 12, 24))
    assert steward.schedules.get(made.entry.id).entry.next_at is None


def test_its_owner_and_the_operators_are_told_that_it_has_ended(install, clock_at):
    steward = install(datetime(2026, 9, 1, tzinfo=UTC))
    made = make(steward, begin="2026-05-01", end="2026-05-31")
    clock_at(datetime(2026, 9, 10, 6, tzinfo=UTC))
    fire(steward, made, at(2026, 9, 10, 6), at(2026, 9, 10, 6))
    steward.alerts.look(at(2026, 9, 10, 6))
    told = [steward.service.get_status(i).payload for i in steward.alerts.look(at(2026, 9, 10, 6) + QUIET)]
    assert [each["to"] for each in told] == [["ops@example.org"], ["sam@example.org"]]
    for each in told:
        assert each["incidents"][0]["what"] == "The schedule of Account has ended"
        assert each["incidents"][0]["reason"] == "There is nothing to ask for after 31 August 2026."
        assert each["incidents"][0]["link"].endswith("/schedules")
    assert steward.alerts.look(at(2026, 9, 10, 6) + 2 * QUIET + SECOND) == []


def test_the_rules_at_the_door_hold_for_a_schedule_and_its_task_says_why(install, clock_at):
    steward = install(datetime(2026, 6, 1, tzinfo=UTC))
    made = make(steward)
    (task,) = fire(steward, made, at(2026, 5, 10, 6), at(2026, 5, 10, 6))
    assert (task.state, task.payload["begin"]) == ("failed", "2026-04-01")
    assert task.error == "April is not reported on. Nobody works then. Choose another month."
    with steward.ledger.read() as connection:
        assert retention.breaches(connection) == []


def test_a_check_that_fails_holds_up_no_other_schedule(install):
    steward = install(datetime(2026, 6, 1, tzinfo=UTC))
    good = make(steward)
    bad = make(steward, who="fine")
    broken = {"who": "broken", "begin": "2026-02-01", "end": "2026-02-28"}
    steward.ledger.apply(
        lambda c: c.execute(schedules.update().where(schedules.c.id == bad.entry.id).values(payload=json.dumps(broken)))
    )
    (task,) = fire(steward, bad, at(2026, 3, 10, 6), at(2026, 3, 10, 6))
    assert task.state == "failed"
    assert "KeyError" in task.error
    assert [t.state for t in fire(steward, good, at(2026, 3, 10, 6), at(2026, 3, 10, 6))] == ["queued"]


def test_a_database_that_gives_no_answer_holds_nothing_up(install, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    OPENED.clear()
    try:
        steward = install(datetime(2026, 9, 1, tzinfo=UTC), source_url=f"sqlite:///{tmp_path}/none.sqlite3")
        made = make(steward, name="wait")
        assert asked(fire(steward, made, at(2026, 9, 10, 6), at(2026, 9, 10, 6))) == [("2026-08-01", "2026-08-31")]
    finally:
        OPENED.set()


def test_run_now_is_about_the_last_whole_period_and_is_refused_as_at_the_door(install, clock_at):
    steward = install(datetime(2026, 3, 20, tzinfo=UTC))
    made = make(steward, "0 6 10 * *")
    task = steward.service.get_status(steward.schedules.run(made.entry.id))
    assert asked([task]) == [("2026-02-01", "2026-02-28")]
    clock_at(datetime(2026, 5, 2, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match="April is not reported on"):
        steward.schedules.run(made.entry.id)
    clock_at(datetime(2026, 12, 2, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match="nothing left to ask for"):
        steward.schedules.run(made.entry.id)


def test_to_date_grows_and_ends_with_the_whole(install, clock_at):
    steward = install(datetime(2026, 10, 15, tzinfo=UTC))
    made = make(steward, "0 6 1 * *", "to_date", begin="2026-01-15", end="2026-05-31")
    tasks = fire(steward, made, at(2026, 7, 1, 6), at(2026, 10, 1, 6))
    assert asked(tasks) == [
        ("2026-01-15", "2026-06-30"),
        ("2026-01-15", "2026-07-31"),
        ("2026-01-15", "2026-08-31"),
    ]
    assert steward.schedules.get(made.entry.id).entry.ended


def test_a_schedule_that_would_never_have_anything_to_do_is_not_made(install):
    steward = install(datetime(2026, 10, 15, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match=r"There is nothing to ask for after 31 August 2026\."):
        make(steward)
    assert steward.schedules.find() == []
    with pytest.raises(InvalidOption, match="There is no period"):
        make(steward, period="fortnight")


def test_an_ended_schedule_goes_on_when_there_is_more(install, clock_at):
    steward = install(datetime(2026, 7, 1, tzinfo=UTC))
    made = make(steward)
    steward.ledger.apply(lambda c: rows.end(c, made.entry.id, "There is nothing.", at(2026, 7, 1)))
    resumed = steward.schedules.resume(made.entry.id)
    assert (resumed.entry.ended, resumed.entry.next_at) == (None, at(2026, 7, 10, 6))


DAYS = st.dates(date(2025, 1, 1), date(2027, 12, 31))


@given(DAYS, st.integers(0, 400), DAYS, st.integers(0, 400))
def test_a_cut_period_lies_within_or_is_told_apart(first, length, begin, lasting):
    last, end = first + timedelta(days=length), begin + timedelta(days=lasting)
    found = cut((first, last), (begin, end))
    if first > end:
        assert found is None
    elif last < begin:
        assert found == (first, last)
    else:
        assert found == (max(first, begin), min(last, end))
    assert cut((first, last), (None, None)) == (first, last)
