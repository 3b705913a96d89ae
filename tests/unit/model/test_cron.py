"""Cron arithmetic over the changes of the clocks, and what is refused."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.model.test_handler import Joined

from steward import Schedule, handler
from steward.errors import InvalidOption, PluginError
from steward.model.cron import after, check, days_of, find_zone, in_words, suggested, upcoming


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def due(cron: str, zone: str, moment: datetime, count: int = 2) -> list[str]:
    return [each.isoformat() for each in upcoming(cron, zone, moment, count)]


def test_a_time_that_the_clocks_leap_over_is_due_once_right_after_the_leap():
    found = due("30 2 * * *", "Europe/Berlin", at(2027, 3, 27, 12))
    assert found == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    # A process that looks just after the leap does not find it again.
    assert due("30 2 * * *", "Europe/Berlin", at(2027, 3, 28, 1), 1) == ["2027-03-29T02:30:00+02:00"]


@pytest.mark.parametrize("minute", [30, 31, 45, 90, 119])
def test_a_time_that_comes_twice_is_due_the_first_time_only(minute):
    assert due("30 2 * * *", "Europe/Berlin", at(2026, 10, 24, 12), 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    later = at(2026, 10, 25, 0) + timedelta(minutes=minute)
    assert due("30 2 * * *", "Europe/Berlin", later, 1) == ["2026-10-26T02:30:00+01:00"]


def test_every_hour_goes_by_elapsed_time_over_the_change():
    found = list(islice(after("0 * * * *", "Europe/Berlin", at(2026, 10, 24, 23, 30)), 4))
    assert {b - a for a, b in pairwise(found)} == {timedelta(hours=1)}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["30 2 * * *", "0 0 * * *", "15 1 1 * *", "*/20 * * * *", "0 3 * * SUN", "0 12 L * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1)),
)
def test_wherever_one_starts_the_next_times_are_the_same(cron, zone, start):
    moment = start.replace(tzinfo=UTC)
    found = list(islice(after(cron, zone, moment), 4))
    assert all(a < b for a, b in pairwise([moment, *found]))
    assert list(islice(after(cron, zone, found[1]), 2)) == found[2:]
    between = found[0] + (found[1] - found[0]) / 2
    assert next(after(cron, zone, between)) == found[1]


@pytest.mark.parametrize(
    ("cron", "zone", "words"),
    [
        ("0 6 * * *", "UTC", "every day at 06:00"),
        ("0 6 * * *", "Europe/Berlin", "every day at 06:00 (Europe/Berlin)"),
        ("0 7 1 1,4,7,10 *", "UTC", "every quarter on the first day at 07:00"),
        ("0 7 1 * *", "UTC", "every month on the first day at 07:00"),
        ("0 7 L * *", "UTC", "every month on the last day at 07:00"),
        ("0 9 22 * *", "UTC", "every month on the 22nd at 09:00"),
        ("0 9 11 * *", "UTC", "every month on the 11th at 09:00"),
        ("0 7 1 1 *", "UTC", "every year on January 1 at 07:00"),
        ("5 4 * * 1-5", "UTC", "every working day at 04:05"),
        ("5 4 * * 7", "UTC", "every Sunday at 04:05"),
        ("*/15 * * * *", "Europe/Berlin", "every 15 minutes"),
        ("* * * * *", "UTC", "every minute"),
        ("0 * * * *", "UTC", "every hour"),
        ("7 * * * *", "UTC", "every hour at 7 past"),
        ("0 6 1-7 * MON", "UTC", "at 06:00 on every day of month from 1 through 7 and on Monday"),
    ],
)
def test_a_schedule_reads_as_one_would_say_it(cron, zone, words):
    assert in_words(check(cron, zone), zone) == words


@pytest.mark.parametrize("cron", ["", "x", "0 6 * *", "0 0 0 1 1 *", "61 * * * *", "0 0 30 2 *", "0 0 " + "1," * 99])
def test_what_is_no_cron_expression_is_refused(cron):
    with pytest.raises(InvalidOption, match="cron expression"):
        check(cron, "UTC")


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "..", "Europe", "/etc/hostname", "a\0b"])
def test_what_is_no_time_zone_is_refused(zone):
    with pytest.raises(InvalidOption, match="time zone"):
        find_zone(zone)


def test_an_unknown_policy_is_refused():
    with pytest.raises(InvalidOption, match="skip, once, all"):
        check("0 6 * * *", "UTC", "twice")


def test_nicknames_are_written_out():
    assert check(" @Daily ", "UTC") == "0 0 * * *"
    assert check("0  6 * *  mon", "UTC") == "0 6 * * MON"


def test_a_declared_schedule_that_cannot_be_used_is_named_with_its_place():
    ada = Joined(name="Ada", email="ada@example.org")
    with pytest.raises(PluginError, match=r"greet at .*test_cron.py:\d+"):

        @handler(example=ada, schedules=("99 6 * * *",))
        def greet(joined: Joined) -> None: ...

    with pytest.raises(PluginError, match="payload=") as caught:

        @handler(example=ada, schedules=("0 6 * * *",))
        def meet(joined: Joined) -> None: ...

    assert "name" in str(caught.value)

    @handler(example=ada, schedules=(Schedule("0 6 * * *", zone="Europe/Berlin", missed="all", payload=ada),))
    def wave(joined: Joined) -> None: ...

    assert wave.schedules == (Schedule("0 6 * * *", "Europe/Berlin", "all", ada),)


@pytest.mark.parametrize(
    ("cron", "period"),
    [
        ("0 6 * * *", "day"),
        ("0 6 * * 1", "week"),
        ("0 6 * * FRI", "week"),
        ("0 6 * * MON-FRI", "since_last"),
        ("0 6 1 * *", "month"),
        ("0 6 10 * *", "month"),
        ("0 6 L * *", "month"),
        ("0 6 * * FRI#2", "month"),
        ("0 6 1 1,4,7,10 *", "quarter"),
        ("0 6 15 FEB,MAY,AUG,NOV *", "quarter"),
        ("0 6 1 */3 *", "quarter"),
        ("0 6 1 1 *", "fiscal_year"),
        ("0 6 30 SEP *", "fiscal_year"),
        ("0 6 1 1,7 *", "since_last"),
        ("0 6 1,15 * *", "since_last"),
        ("0 6,18 * * *", "since_last"),
        ("*/15 * * * *", "since_last"),
    ],
)
def test_the_period_that_one_expects_follows_from_how_often(cron, period):
    assert suggested(check(cron, "UTC")) == period


ZONES = ["Europe/Berlin", "America/New_York", "Pacific/Auckland", "Pacific/Kiritimati", "UTC"]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 28),
    st.sampled_from(["month", "quarter", "fiscal_year", "week", "day", "since_last"]),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2024, 1, 1), datetime(2036, 12, 31)),
    st.integers(1, 12),
)
def test_the_months_of_a_schedule_follow_one_another_on_whatever_day_it_is_due(day, period, zone, start, fiscal):
    cron = f"30 0 {day} * *"
    dues = list(islice(after(cron, zone, start.replace(tzinfo=UTC)), 14))
    spans = [days_of(cron, zone, due, period, fiscal, (None, None)) for due in dues]
    for due, (first, last) in zip(dues, spans, strict=True):
        assert first <= last < due.astimezone(find_zone(zone)).date()
        if period == "month":
            assert (first.day, (last + timedelta(days=1)).day) == (1, 1)
    if period in ("month", "since_last"):  # as often as they are due: without a gap, and without an overlap
        assert all(b[0] - a[1] == timedelta(days=1) for a, b in pairwise(spans))


def test_grant_to_date_keeps_its_first_day_and_given_days_stay():
    due, given = at(2026, 12, 10, 6), (date(2025, 7, 1), date(2026, 9, 30))
    assert days_of("0 6 10 * *", "UTC", due, "to_date", 1, given) == (date(2025, 7, 1), date(2026, 12, 9))
    assert days_of("0 6 10 * *", "UTC", due, "as_given", 1, given) == given
    # The day is that of the schedule's zone: in Auckland it is the 11th already.
    assert days_of("0 6 * * *", "Pacific/Auckland", at(2026, 12, 10, 17), "to_date", 1, given)[1] == date(2026, 12, 10)


def test_a_period_that_there_is_not_is_refused():
    with pytest.raises(InvalidOption, match="month, quarter"):
        check("0 6 * * *", "UTC", "once", "fortnight")
    ada = Joined(name="Ada", email="ada@example.org")
    with pytest.raises(PluginError, match="no days that move along"):

        @handler(example=ada, schedules=(Schedule("0 6 * * *", payload=ada, period="month"),))
        def greet(joined: Joined) -> None: ...
