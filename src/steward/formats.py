"""How figures and dates are written for people: pure functions, and Jinja filters of the same names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

CENT: Final = Decimal("0.01")


def money(amount: Decimal | int) -> str:
    """Return US dollars to the cent: `$1,234.50`, negative as `−$1,234.50`."""
    cents = Decimal(amount).quantize(CENT, ROUND_HALF_UP)
    return f"−${-cents:,.2f}" if cents < 0 else f"${cents:,.2f}"


def number(value: Decimal | int | float, places: int = 0) -> str:
    """Return a number with thousands separators."""
    return f"{value:,.{places}f}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number of things: `1 task`, `4,200 tasks`; `many` where an `s` does not make it."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def percent(share: Decimal | float | None, places: int = 1) -> str:
    """Return a share of one as per cent: 0.253 is `25.3 %`; None is a dash."""
    return "–" if share is None else f"{share * 100:,.{places}f} %"


def day(value: date | datetime | None) -> str:
    """Return a date in words: `3 March 2026`; None is a dash."""
    return "–" if value is None else f"{value.day} {value:%B %Y}"


def short_day(value: date | datetime | None) -> str:
    """Return a date for tables: `2026-03-03`; None is a dash."""
    return "–" if value is None else f"{value:%Y-%m-%d}"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "money": money,
    "number": number,
    "percent": percent,
    "day": day,
    "short_day": short_day,
}
