"""What the card of a schedule says will be asked for."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from pydantic import BaseModel, Field

from steward import Note, handler
from steward.storage.schedules import StoredSchedule
from steward.tasks.schedules.schedules import ScheduleStatus
from steward.web.pages.schedules import asked


class Span(BaseModel):
    grant: str
    begin: date = Field(json_schema_extra={"schedule_period": "first"})
    end: date = Field(json_schema_extra={"schedule_period": "last"})


@handler(example=Span(grant="DOL", begin=date(2026, 1, 1), end=date(2026, 3, 31)), lane="jobs")
def account(span: Span) -> Note:
    """Account for a span of time."""
    return Note(f"{span.begin} to {span.end}")


class Days(BaseModel):
    grant: str
    begin: date
    end: date


@handler(example=Days(grant="DOL", begin=date(2026, 1, 1), end=date(2026, 3, 31)), lane="jobs")
def still(days: Days) -> Note:
    """Account for the same days again and again."""
    return Note(f"{days.begin} to {days.end}")


def standing(*coming: datetime, cron: str = "0 6 1 1,4,7,10 *", period: str = "") -> ScheduleStatus:
    payload = json.dumps({"grant": "DOL", "begin": "2026-01-01", "end": "2026-03-31"})
    entry = StoredSchedule("id", "account", "person", cron, "UTC", "once", payload, "Sam", 0, None, period=period)
    return ScheduleStatus(entry, coming, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            standing(datetime(2026, 10, 1, 6, tzinfo=UTC), datetime(2027, 1, 1, 6, tzinfo=UTC)),
            "The calendar quarter before; next: 1 July 2026 to 30 September 2026",
        ),
        (standing(), "The calendar quarter before"),
        (
            standing(datetime(2027, 2, 10, 6, tzinfo=UTC), cron="0 6 10 * *"),
            "The calendar month before; next: 1 January 2027 to 31 January 2027",
        ),
        (
            standing(datetime(2027, 2, 10, 6, tzinfo=UTC), cron="0 6 10 * *", period="to_date"),
            "From the first day given to the day before; next: 1 January 2026 to 9 February 2027",
        ),
        (
            standing(datetime(2027, 2, 10, 6, tzinfo=UTC), cron="0 6 10 * *", period="as_given"),
            "Always the days given; next: 1 January 2026 to 31 March 2026",
        ),
        (
            standing(datetime(2027, 2, 16, 6, tzinfo=UTC), cron="0 6 1,16 * *"),
            "The time since the run before; next: 1 February 2027 to 15 February 2027",
        ),
    ],
    ids=["due", "resting", "on the 10th", "to date", "as given", "twice a month"],
)
def test_a_period_that_moves_is_never_shown_as_the_days_that_were_given(given: ScheduleStatus, said: str) -> None:
    assert asked(given, account) == [("Period", said), ("Grant", "DOL")]


def test_a_period_of_one_day_is_one_day() -> None:
    given = standing(datetime(2026, 10, 1, 6, tzinfo=UTC), cron="0 6 * * *")
    assert asked(given, account)[0][1].endswith("; next: 30 September 2026")


def test_days_that_stay_are_shown_as_they_are() -> None:
    assert asked(standing(), still) == [("Grant", "DOL"), ("Begin", "2026-01-01"), ("End", "2026-03-31")]


def test_without_its_plugin_a_schedule_says_what_is_known() -> None:
    assert ("Grant", "DOL") in asked(standing(), None)
