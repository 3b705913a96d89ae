"""Calendar periods over every day of a century, and what day it is where the installation is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.model import periods
from steward.model.periods import PERIODS, Calendar, before

DAY = timedelta(days=1)
DAYS = st.dates(date(1990, 1, 1), date(2110, 12, 31))
PARTS = st.sampled_from(PERIODS[:6])
MONTHS = st.integers(1, 12)


@given(PARTS, DAYS, MONTHS)
def test_a_period_is_whole_and_the_last_that_was_over(period, day, month):
    first, last = before(period, day, month)
    assert first <= last < day
    # The day after it begins the next one, in which `day` lies.
    following = before(period, last + DAY, month)
    assert following == (first, last)
    assert day - last <= {"day": DAY, "week": 7 * DAY, "month": 31 * DAY, "quarter": 92 * DAY}.get(period, 366 * DAY)


@given(PARTS, DAYS, MONTHS)
def test_periods_follow_one_another_without_gap_or_overlap(period, day, month):
    first, _ = before(period, day, month)
    assert before(period, first, month)[1] == first - DAY


@given(PARTS, DAYS, MONTHS)
def test_a_period_begins_where_the_calendar_says(period, day, month):
    first, last = before(period, day, month)
    following = last + DAY
    for begin in (first, following):
        if period == "week":
            assert begin.isoweekday() == 1
        elif period != "day":
            assert begin.day == 1
        if period == "quarter":
            assert begin.month in (1, 4, 7, 10)
        elif period == "year":
            assert begin.month == 1
        elif period == "fiscal_year":
            assert begin.month == month
    months = (following.year - first.year) * 12 + following.month - first.month
    assert months == {"month": 1, "quarter": 3, "year": 12, "fiscal_year": 12}.get(period, months)


@pytest.mark.parametrize(
    ("period", "day", "first", "last"),
    [
        ("month", "2026-12-10", "2026-11-01", "2026-11-30"),
        ("month", "2028-03-31", "2028-02-01", "2028-02-29"),
        ("month", "2028-02-29", "2028-01-01", "2028-01-31"),
        ("month", "2027-01-01", "2026-12-01", "2026-12-31"),
        ("quarter", "2027-02-15", "2026-10-01", "2026-12-31"),
        ("quarter", "2026-12-31", "2026-07-01", "2026-09-30"),
        ("year", "2027-01-01", "2026-01-01", "2026-12-31"),
        ("fiscal_year", "2026-06-30", "2024-07-01", "2025-06-30"),
        ("fiscal_year", "2026-07-01", "2025-07-01", "2026-06-30"),
        ("week", "2027-01-01", "2026-12-21", "2026-12-27"),
        ("day", "2028-03-01", "2028-02-29", "2028-02-29"),
    ],
)
def test_what_lies_before_a_day(period, day, first, last):
    found = before(period, date.fromisoformat(day), 7)
    assert [each.isoformat() for each in found] == [first, last]


def test_every_period_has_words_and_only_parts_of_the_calendar_have_days():
    assert all(periods.in_words(each) for each in PERIODS)
    assert periods.in_words("fiscal_year", 10) == "the fiscal year before (it begins in October)"
    for each in PERIODS[6:]:
        with pytest.raises(ValueError, match="no part of the calendar"):
            before(each, date(2026, 1, 1))


@pytest.mark.parametrize(
    ("zone", "day"),
    [("UTC", "2026-11-26"), ("Pacific/Auckland", "2026-11-27"), ("America/Los_Angeles", "2026-11-26")],
)
def test_today_is_the_day_of_the_installation_s_zone(clock_at, zone, day):
    clock_at(datetime(2026, 11, 26, 23, 59, tzinfo=UTC))
    assert Calendar(zone).today().isoformat() == day
    assert Calendar(zone).now() == datetime(2026, 11, 26, 23, 59, tzinfo=UTC)
