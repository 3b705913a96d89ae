"""Time and time-ordered ids: moments are whole microseconds since 1970 in UTC, the same in every database."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Final, overload

SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """Return the present moment in microseconds."""
    return time.time_ns() // 1000


def micros(moment: datetime) -> int:
    """Return an aware `moment` in microseconds.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("the time needs a zone, for example 2026-12-01T08:00:00Z")
    return (moment - _EPOCH) // timedelta(microseconds=1)


@overload
def moment(value: int) -> datetime: ...
@overload
def moment(value: None) -> None: ...
def moment(value: int | None) -> datetime | None:
    """Return microseconds as an aware datetime in UTC; None stays None."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def new_id() -> str:
    """Return a UUID version 7 (RFC 9562, section 5.7): ids sort by the millisecond they were made in."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
