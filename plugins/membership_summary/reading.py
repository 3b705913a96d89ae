"""Reads the members in one go, so that every figure and the roster speak of the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from steward import Record, Source

STATUSES = ("active", "suspended", "inactive", "retired", "deceased")
LEFT = ("retired", "inactive", "deceased")
"""Who has one of these statuses is no longer on the roll."""

PRIVATE = ("first_name", "middle_name", "last_name", "city", "state", "date_of_birth")
"""What no message repeats."""

_MEMBERS = """
    SELECT id, member_number, first_name, middle_name, last_name, city, state, date_of_birth, hire_date, status,
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
        found = Record("members", row, private=PRIVATE)
        status, joined = found.one_of("status", STATUSES), found.day_or_none("hire_date")
        changed = found.day_or_none("status_changed_on")
        city, state = found.words("city"), found.words("state")
        yield Member(
            number=found.text("member_number"),
            first=found.text("first_name"),
            middle=found.words("middle_name"),
            last=found.text("last_name"),
            town=f"{city}, {state}" if city and state else city,
            born=found.day_or_none("date_of_birth"),
            joined=joined,
            status=status,
            classification=found.text("classification"),
            # Nobody leaves before joining.
            left=(max(changed, joined) if changed and joined else changed) if status in LEFT else None,
            changed=found.day("updated_at"),
            deleted=found.day_or_none("deleted_at") is not None,
        )


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
    first = _edge(source, "hire_date", "")
    return Extent(int(count or 0), first, _edge(source, "updated_at", "DESC"))


def _edge(source: Source, column: str, order: str) -> date | None:
    statement = (
        f"SELECT id, {column} FROM members WHERE deleted_at IS NULL AND {column} IS NOT NULL"
        f" ORDER BY {column} {order} LIMIT 1"
    )
    return next((row.day(column) for row in source.records("members", statement)), None)
