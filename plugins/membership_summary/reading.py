"""Reads the members in one go, so that every figure and the roster speak of the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from steward import Source, to_date

STATUSES = ("active", "suspended", "inactive", "retired", "deceased")
LEFT = ("retired", "inactive", "deceased")
"""Who has one of these statuses is no longer on the roll."""

_MEMBERS = """
    SELECT member_number, first_name, middle_name, last_name, city, state, date_of_birth, hire_date, status,
        classification, status_changed_on, updated_at, deleted_at
    FROM members
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as recorded. `left` is the day of leaving the roll: None for who is on it, or if it is not known."""

    number: str
    first: str
    middle: str
    last: str
    town: str
    born: date | None
    joined: date | None
    status: str
    classification: str
    left: date | None
    changed: date
    deleted: bool

    @property
    def is_gone(self) -> bool:
        """Whether the member has left the roll at some time."""
        return self.status in LEFT

    def on_roll(self, day: date) -> bool:
        """Return whether the member was on the roll at the end of `day`, as far as the records tell.

        Who has no day of joining was always there; who left on an unknown day had left before.
        """
        if self.joined is not None and self.joined > day:
            return False
        return not self.is_gone or (self.left is not None and self.left > day)


@dataclass(frozen=True, slots=True)
class Extent:
    """How many members a request is about, and from when to when anything is known."""

    members: int
    first: date | None
    latest: date | None


def members(source: Source) -> Iterator[Member]:
    """Yield every record of the members' table."""
    for row in source.rows(_MEMBERS):
        status = row["status"]
        yield Member(
            number=row["member_number"],
            first=row["first_name"],
            middle=row["middle_name"] or "",
            last=row["last_name"],
            town=f"{row['city']}, {row['state']}" if row["city"] and row["state"] else row["city"] or "",
            born=to_date(row["date_of_birth"]),
            joined=to_date(row["hire_date"]),
            status=status,
            classification=row["classification"],
            left=_left(row) if status in LEFT else None,
            changed=to_date(row["updated_at"]),
            deleted=row["deleted_at"] is not None,
        )


def _left(row: Mapping[str, Any]) -> date | None:
    changed, joined = to_date(row["status_changed_on"]), to_date(row["hire_date"])
    return max(changed, joined) if changed and joined else changed  # nobody leaves before joining


def extent(source: Source, end: date, statuses: Sequence[str]) -> Extent:
    """Return how many members had joined by `end` and have one of `statuses` (all if empty)."""
    names = ", ".join(f":s{n}" for n in range(len(statuses)))
    chosen = f"AND status IN ({names})" if statuses else ""
    given = {f"s{n}": status for n, status in enumerate(statuses)}
    count = source.value(
        f"SELECT COUNT(*) FROM members WHERE deleted_at IS NULL AND (hire_date IS NULL OR hire_date <= :end) {chosen}",
        end=end,
        **given,
    )
    span = source.one("SELECT MIN(hire_date) AS first, MAX(updated_at) AS latest FROM members WHERE deleted_at IS NULL")
    return Extent(int(count or 0), to_date(span["first"]) if span else None, to_date(span["latest"]) if span else None)
