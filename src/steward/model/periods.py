"""Days and periods of an installation: what day it is in its zone, and which month, quarter or year lies before one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from steward.system.clock import present

Period = Literal["day", "week", "month", "quarter", "year", "fiscal_year", "to_date", "since_last", "as_given"]
PERIODS: Final[tuple[Period, ...]] = (
    *("day", "week", "month", "quarter", "year", "fiscal_year"),
    *("to_date", "since_last", "as_given"),
)
"""What a task that is made again and again can be about; the first six are parts of the calendar."""

_DAY: Final = timedelta(days=1)
_SPANS: Final = {"month": 1, "quarter": 3, "year": 12, "fiscal_year": 12}


def before(period: Period, day: date, fiscal_month: int = 1) -> tuple[date, date]:
    """Return the first and the last day of the whole `period` of the calendar that ended last before `day`.

    A week is Monday to Sunday (ISO 8601). A fiscal year begins on the first day of the month `fiscal_month` (1 to 12).

    Raises:
        ValueError: `period` is not a part of the calendar.
    """
    if period == "day":
        return day - _DAY, day - _DAY
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday - timedelta(days=7), monday - _DAY
    if period not in _SPANS:
        raise ValueError(f"'{period}' is no part of the calendar")
    months, shift = _SPANS[period], fiscal_month - 1 if period == "fiscal_year" else 0
    running = (day.year * 12 + day.month - 1 - shift) // months * months + shift
    return _first_of(running - months), _first_of(running) - _DAY


def _first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def in_words(period: str, fiscal_month: int = 1) -> str:
    """Return what a task made again and again is about, as one would say it: `the calendar month before`."""
    return {
        "day": "the day before",
        "week": "the week before, Monday to Sunday",
        "month": "the calendar month before",
        "quarter": "the calendar quarter before",
        "year": "the calendar year before",
        "fiscal_year": f"the fiscal year before (it begins in {date(2000, fiscal_month, 1):%B})",
        "to_date": "from the first day given to the day before",
        "since_last": "the time since the run before",
        "as_given": "always the days given",
    }[period]


@dataclass(frozen=True, slots=True)
class Calendar:
    """Ask for it as a parameter (`calendar: Calendar`) to know what day it is where the installation is.

    `zone` is that of `STEWARD_TIME_ZONE`; `fiscal_month` is the month (1 to 12) in which a fiscal year begins.
    """

    injected_as: ClassVar[str] = "calendar"

    zone: str = "UTC"
    fiscal_month: int = 1

    def local(self, moment: datetime) -> datetime:
        """Return an aware `moment` in the installation's zone."""
        return moment.astimezone(UTC if self.zone == "UTC" else ZoneInfo(self.zone))

    def now(self) -> datetime:
        """Return the present moment in the installation's zone."""
        return self.local(present())

    def today(self) -> date:
        """Return the day that it is in the installation's zone."""
        return self.now().date()

    def before(self, period: Period, day: date) -> tuple[date, date]:
        """Return the first and the last day of the whole `period` that ended last before `day`; see `before`."""
        return before(period, day, self.fiscal_month)
