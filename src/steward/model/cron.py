"""When something is due again and again: cron expressions in any time zone, and how a person reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from steward.errors import InvalidOption
from steward.model.periods import PERIODS, Period, before
from steward.system.clock import present

Missed = Literal["skip", "once", "all"]
POLICIES: Final[tuple[Missed, ...]] = ("skip", "once", "all")
LONGEST: Final = 120
"""Most characters of a cron expression."""

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task is made by itself, for `@handler(schedules=(Schedule("0 6 * * *", zone="Europe/Berlin"),))`.

    `cron` has five fields (minute, hour, day of the month, month, day of the week) as cron(5) describes them; `L` is
    the month's last day. `zone` is a name of the time zone database; empty means the installation's own. `missed`
    says what happens to firings that fell into a time when nothing was running: `skip` them, make up for them
    `once`, or for `all`. `payload` is what the task is given; without it, the payload's defaults. `period` says which
    days a task is about whose payload has days that move along; empty means what `cron` suggests (see `suggested`).
    """

    cron: str
    zone: str = ""
    missed: Missed = "once"
    payload: Any = None
    period: str = ""


def check(cron: str, zone: str, missed: str = "once", period: str = "") -> str:
    """Return `cron` as it is kept: its fields with one space between them, nicknames such as `@daily` written out.

    Raises:
        InvalidOption: it is not a cron expression that is ever due, or there is no such time zone, policy or period.
    """
    text = " ".join(cron.split())
    text = _NICKNAMES.get(text.lower(), text.upper())
    if len(text) > LONGEST or len(text.split()) != 5:
        raise InvalidOption(
            f"'{cron[:60]}' is not a cron expression",
            "It needs five fields: minute, hour, day of the month, month, day of the week",
            "Example: 0 6 * * * is every day at 06:00",
        )
    if missed not in POLICIES:
        raise InvalidOption(f"There is no policy '{missed[:20]}'", remedy=f"There are: {', '.join(POLICIES)}")
    if period and period not in PERIODS:
        raise InvalidOption(f"There is no period '{period[:20]}'", remedy=f"There are: {', '.join(PERIODS)}")
    where = find_zone(zone)
    try:
        next(CronSim(text, present().astimezone(where)))
    except CronSimError as error:
        raise InvalidOption(
            f"'{cron[:60]}' is not a cron expression", str(error), "Example: 0 6 * * * is every day at 06:00"
        ) from error
    except StopIteration:
        raise InvalidOption(f"'{cron[:60]}' is never due", "There is no such day within 50 years") from None
    return text


def find_zone(name: str) -> tzinfo:
    """Return the time zone of this name.

    Raises:
        InvalidOption: the time zone database has none.
    """
    if name in ("UTC", "Etc/UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    # An empty name, one with "..", and a folder of the database each raise another kind of error.
    except (KeyError, ValueError, OSError) as error:
        raise InvalidOption(
            f"There is no time zone '{name[:60]}'", remedy="Write it like Europe/Berlin, America/New_York or UTC"
        ) from error


def after(cron: str, zone: str, moment: datetime) -> Iterator[datetime]:
    """Yield, in UTC, each time after `moment` at which `cron` is due in `zone`.

    A fixed time that the clocks leap over in spring is due once, right after the leap; one that comes twice in autumn
    is due once, the first time. Expressions that say "every hour" or "every so many minutes" go by elapsed time
    (the rules of Debian's cron).

    Raises:
        InvalidOption: it is no cron expression, or no zone of this machine's: nothing that `check` has seen.
    """
    last: datetime | None = None
    for due in _times(cron, moment.astimezone(find_zone(zone))):
        # Comparing in UTC: the second of two equal wall-clock times is another moment, and not meant here.
        found = due.astimezone(UTC)
        if found > moment and (last is None or found > last):
            last = found
            yield found


def _times(cron: str, moment: datetime, *, reverse: bool = False) -> CronSim:
    try:
        return CronSim(cron, moment, reverse=reverse)
    except CronSimError as error:
        raise InvalidOption(f"'{cron[:60]}' is not a cron expression", str(error)) from error


def upcoming(cron: str, zone: str, moment: datetime, count: int = 3) -> list[datetime]:
    """Return the next `count` times after `moment`, in `zone`."""
    return [due.astimezone(find_zone(zone)) for due in islice(after(cron, zone, moment), count)]


def last_before(cron: str, zone: str, moment: datetime) -> datetime:
    """Return, in UTC, the last time before `moment` at which `cron` was due in `zone`; `moment` if there was none."""
    found = next(_times(cron, moment.astimezone(find_zone(zone)), reverse=True), moment)
    return found.astimezone(UTC)


def suggested(cron: str) -> Period:
    """Return the period that one expects of what is due as `cron` says.

    Once a day: the day before. Once a week: the week before. Once a month, each quarter, each year: the calendar month,
    quarter, fiscal year before, on whatever day of it. Anything else: the time since the run before.
    """
    minute, hour, day, month, weekday = cron.split()
    if not (minute.isdigit() and hour.isdigit()):
        return "since_last"
    once_a_month = (day.isdigit() or day in ("L", "LW")) and weekday == "*"
    once_a_month = once_a_month or (day == "*" and bool(re.fullmatch(r"\w+#[1-5]|\w+L|L\w+", weekday)))
    if once_a_month:
        if month == "*":
            return "month"
        if month == "*/3" or _is_every_third(month):
            return "quarter"
        return "since_last" if not month.isalnum() else "fiscal_year"
    if day == month == "*":
        return "day" if weekday == "*" else "week" if re.fullmatch(r"[0-7]|[A-Z]{3}", weekday) else "since_last"
    return "since_last"


def _is_every_third(months: str) -> bool:
    names = [each[:3].upper() for each in _MONTHS]
    found = [names.index(each) + 1 if each in names else int(each) for each in months.split(",") if each.isalnum()]
    return len(found) == 4 and [each - found[0] for each in found] == [0, 3, 6, 9]


def days_of(
    cron: str, zone: str, due: datetime, period: str, fiscal_month: int, given: tuple[date | None, date | None]
) -> tuple[date | None, date | None]:
    """Return the first and the last day, in `zone`, that the firing at `due` is about.

    `period` is one of `PERIODS`, or empty for what `cron` suggests; `given` are the days that were asked for, of which
    `to_date` keeps the first and `as_given` both.
    """
    here = due.astimezone(find_zone(zone))
    kind, today = period or suggested(cron), here.date()
    if kind == "as_given":
        return given
    if kind == "to_date":
        return given[0], today - timedelta(days=1)
    if kind != "since_last":
        return before(kind, today, fiscal_month)  # type: ignore[arg-type]  # checked when the schedule was made
    first = last_before(cron, zone, here).astimezone(find_zone(zone)).date()
    return first, max(first, today - timedelta(days=1))


def in_words(cron: str, zone: str = "UTC") -> str:
    """Return a cron expression as one would say it: `every day at 06:00`, with the zone unless it is UTC.

    Raises:
        InvalidOption: it is none.
    """
    _times(cron, datetime(2000, 1, 1, tzinfo=UTC))
    words = _usual(*cron.split()) or _explained(cron)
    return words if zone == "UTC" or not _is_clock_time(cron) else f"{words} ({zone})"


def _usual(minute: str, hour: str, day: str, month: str, weekday: str) -> str:
    """Return the words for what nearly every schedule is, or nothing."""
    if hour == day == month == weekday == "*":
        if step := re.fullmatch(r"\*(?:/(\d+))?", minute):
            count = int(step[1] or 1)
            return "every minute" if count == 1 else f"every {count} minutes" if 60 % count == 0 else ""
        return (
            f"every hour at {int(minute)} past"
            if minute.isdigit() and minute != "0"
            else ("every hour" if minute == "0" else "")
        )
    if not (minute.isdigit() and hour.isdigit()):
        return ""
    clock = f"{int(hour):02}:{int(minute):02}"
    if day == month == weekday == "*":
        return f"every day at {clock}"
    if day == month == "*":
        if weekday in ("1-5", "MON-FRI"):
            return f"every working day at {clock}"
        return f"every {_DAYS[int(weekday)]} at {clock}" if re.fullmatch("[0-7]", weekday) else ""
    if weekday != "*" or not (day.isdigit() or day == "L"):
        return ""
    which = "the last day" if day == "L" else "the first day" if day == "1" else f"the {_ordinal(int(day))}"
    if month == "*":
        return f"every month on {which} at {clock}"
    if month in ("1,4,7,10", "*/3"):
        return f"every quarter on {which} at {clock}" if which.endswith("day") else ""
    if month.isdigit():
        name = _MONTHS[int(month) - 1]
        return f"every year on {name} {day} at {clock}" if day != "L" else f"every year at the end of {name} at {clock}"
    return ""


def _explained(cron: str) -> str:
    explained = CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)).explain()
    return explained[:1].lower() + explained[1:]


def _is_clock_time(cron: str) -> bool:
    return not cron.split()[1].startswith("*")


def goes_by_elapsed_time(cron: str) -> bool:
    """Return whether `cron` says "every hour" or "every so many minutes": a wait, not an appointment."""
    return not _is_clock_time(cron)


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
