"""How figures and dates are written for people: pure functions, and Jinja filters of the same names.

Each figure is rounded once, half up, where it is written, from the whole value; what rounds to nothing has no sign. A
share that is neither nothing nor the whole is never written as 0.0 % or 100.0 %: it gets as many places as tell it
apart. The arithmetic is this module's own, whatever decimal context a handler has set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP, traps=[])
LARGEST: Final = 400
"""Digits before or behind the point that are still written out: a float has up to 309 and 324."""
DOUBLE_DIGITS: Final = 15
"""Decimal digits that an IEEE 754 double, which is what a spreadsheet's cell holds, keeps of any number."""
CLOSEST: Final = 10
"""Places of a per cent within which a share is told apart from nothing and from the whole: beyond is noise."""
NONE: Final = "–"


def figure(value: Any) -> Decimal | None:
    """Return a number as the exact decimal that is meant, without a negative zero; None if it is not a finite number.

    Of a float the 15 digits that it surely has: 0.1 + 0.2 is 0.3. What has over 400 digits is no figure either.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    if isinstance(value, int) and abs(value).bit_length() > LARGEST * 10 // 3:  # before a conversion that takes long
        return None
    exact = Decimal(f"{value:.{DOUBLE_DIGITS}g}") if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        return None
    if not exact:
        return Decimal(0)
    return exact if abs(exact.adjusted()) <= LARGEST and len(exact.as_tuple().digits) <= LARGEST else None


def rounded(value: Decimal, places: int) -> Decimal:
    """Return a figure rounded half up to so many places; zero has no sign."""
    near = value.quantize(Decimal((0, (1,), -places)), ROUND_HALF_UP, EXACT)
    return near if near else near.copy_abs()


def cut(value: Decimal, digits: int = DOUBLE_DIGITS) -> Decimal:
    """Return a figure without what follows its first `digits` digits.

    Cut, not rounded, so that whoever rounds it half up, to fewer places, gets what the whole value would have given.
    """
    if len(value.as_tuple().digits) <= digits:
        return value
    return value.quantize(Decimal((0, (1,), value.adjusted() - digits + 1)), ROUND_DOWN, EXACT)


def places_of_share(share: Decimal, places: int = 1) -> int:
    """Return to how many places of a per cent a share of one is written: more where 0 or 100 would be untrue."""
    size = share.copy_abs()
    for more in range(places, CLOSEST + 1):
        near = rounded(size, more + 2)
        if all(near != end or size == end for end in (0, 1)):
            return more
    return places


def money(amount: Decimal | int | float) -> str:
    """Return US dollars to the cent: `$1,234.50`, negative as `−$1,234.50`."""
    exact = figure(amount)
    if exact is None:
        return odd(amount)
    cents = rounded(exact, 2)
    return f"{'−' if cents < 0 else ''}${cents.copy_abs():,f}"


def number(value: Decimal | int | float, places: int = 0) -> str:
    """Return a number with thousands separators: `1,234.50`."""
    exact = figure(value)
    if exact is None:
        return odd(value)
    return f"{rounded(exact, places):,f}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number of things: `1 task`, `4,200 tasks`; `many` where an `s` does not make it."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def percent(share: Decimal | float | None, places: int = 1) -> str:
    """Return a share of one as per cent: 0.253 is `25.3 %`, 0.9996 is `99.96 %`; None is a dash."""
    if share is None:
        return NONE
    exact = figure(share)
    if exact is None:
        return odd(share)
    return f"{number(EXACT.multiply(exact, Decimal(100)), places_of_share(exact, places))} %"


def day(value: date | datetime | None) -> str:
    """Return a date in words: `3 March 2026`; None is a dash."""
    return NONE if value is None else f"{value.day} {value:%B} {value.year}"


def short_day(value: date | datetime | None) -> str:
    """Return a date for tables: `2026-03-03`; None is a dash."""
    return NONE if value is None else value.isoformat()[:10]


def odd(value: Any) -> str:
    """Return as text what is no figure, though it stands where one belongs: `nan`, `−inf`, `1E+999999`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{'under −' if value < 0 else 'over '}10^{int((abs(value).bit_length() - 1) * math.log10(2))}"
    if isinstance(value, (float, Decimal)):
        return str(value).lower().replace("infinity", "inf").replace("e", "E").replace("-", "−")
    return str(value)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "money": money,
    "number": number,
    "percent": percent,
    "day": day,
    "short_day": short_day,
}
