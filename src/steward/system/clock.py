"""Time and time-ordered ids: moments are whole microseconds since 1970 in UTC, the same in every database."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, overload

SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT: Final = timedelta(microseconds=1)
# A day within the calendar's ends (years 1 and 9999), so that every zone on Earth can show what is kept.
EARLIEST: Final = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH) // _UNIT
LATEST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _UNIT - 1

read: Callable[[], int] = time.time_ns
"""The clock on the wall, in nanoseconds since 1970: read here and nowhere else. A test puts its own in this place."""


def now() -> int:
    """Return the present moment in microseconds."""
    return read() // 1000


def present() -> datetime:
    """Return the present moment as an aware datetime in UTC."""
    return moment(now())


def micros(moment: datetime) -> int:
    """Return an aware `moment` in microseconds.

    Raises:
        ValueError: it has no time zone, or is none that every zone can show (2 January 1 to 30 December 9999).
    """
    if not isinstance(moment, datetime):
        raise ValueError(f"it is no time but of type {type(moment).__name__}")  # noqa: TRY004  # one kind of error
    if moment.utcoffset() is None:
        raise ValueError("the time needs a zone, for example 2026-12-01T08:00:00Z")
    return storable((moment - _EPOCH) // _UNIT)


def storable(value: int) -> int:
    """Return `value`, a moment in microseconds.

    Raises:
        ValueError: it lies outside of the calendar, so that it could be kept and not shown.
    """
    if not EARLIEST <= value <= LATEST:
        raise ValueError("the time is outside of the calendar, which goes from 2 January 1 to 30 December 9999")
    return value


@overload
def moment(value: int) -> datetime: ...
@overload
def moment(value: None) -> None: ...
def moment(value: int | None) -> datetime | None:
    """Return microseconds as an aware datetime in UTC; None stays None.

    What lies outside of the calendar becomes its nearest end: a row that should not be there takes no list down.
    """
    return None if value is None else _EPOCH + timedelta(microseconds=min(max(value, EARLIEST), LATEST))


def new_id() -> str:
    """Return a UUID version 7 (RFC 9562, section 5.7): ids sort by the millisecond they were made in."""
    value = (read() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
