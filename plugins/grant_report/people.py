"""Works out who was served and how they fared: standing, demographics, attendance, certificates, work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from .money import CENT, month_of, months_between
from .reading import Certification, Person, Placement, Records, Sessions
from .suppression import FEWEST, hidden

STANDINGS = {
    "enrolled": "Enrolled, not yet in class",
    "active": "In training",
    "completed": "Completed",
    "dropped": "Dropped out",
    "withdrawn": "Withdrew",
}
ATTENDANCE = {
    "present": "Present",
    "late": "Late",
    "early_departure": "Left early",
    "excused": "Excused",
    "absent": "Absent",
}
ATTENDED = ("present", "late", "early_departure")
NOT_GIVEN = "Not given"
AGES = ("Under 20", "20 to 24", "25 to 34", "35 to 44", "45 and older", NOT_GIVEN)


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a demographic table: its people and share, both None where they must not be shown."""

    trait: str
    name: str
    people: int | None
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class Hours:
    """Attendance under one heading (a kind of mark, or a month): marks, those who were there, hours."""

    name: str | date
    marks: int
    attended: int
    hours: Decimal


@dataclass(frozen=True, slots=True)
class Work:
    """Placements of one kind, and the average hourly wage; None where too few people stand behind it."""

    name: str
    count: int
    wage: Decimal | None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How many placements have reached this many days, and how many of those were still employed."""

    days: int
    due: int
    employed: int


@dataclass(frozen=True, slots=True)
class People:
    """Everything that the report says about people. Each figure is worked out here and nowhere else."""

    served: int
    joined: int
    standings: dict[str, int]
    groups: tuple[Group, ...]
    by_mark: tuple[Hours, ...]
    by_month: tuple[Hours, ...]
    certificates: tuple[tuple[str, int, int], ...]
    certified: int
    work: tuple[Work, ...]
    follow_ups: tuple[FollowUp, ...]

    @property
    def marks(self) -> int:
        """How often somebody's attendance was recorded."""
        return sum(kind.marks for kind in self.by_mark)

    @property
    def attended(self) -> int:
        """How often somebody was there."""
        return sum(kind.attended for kind in self.by_mark)

    @property
    def hours(self) -> Decimal:
        """The hours of all who were there."""
        return sum((kind.hours for kind in self.by_mark), Decimal("0.00"))

    @property
    def certificates_earned(self) -> int:
        """How many certificates were issued."""
        return sum(earned for _, earned, _ in self.certificates)

    @property
    def placed(self) -> Work:
        """All placements together."""
        return self.work[-1]


def people(records: Records, start: date, end: date) -> People:
    """Return the figures of those who were enrolled at any time from `start` to `end`, both included."""
    served = [p for p in records.people if p.enrolled <= end and not (p.ended and p.ended < start)]
    sessions = [s for s in records.sessions if start <= s.day <= end]
    certificates = [c for c in records.certifications if start <= c.issued <= end]
    placements = [p for p in records.placements if start <= p.start <= end]
    return People(
        served=len(served),
        joined=sum(p.enrolled >= start for p in served),
        standings=_standings(served, end),
        groups=_groups(served),
        by_mark=tuple(_by_mark(sessions)),
        by_month=tuple(_by_month(sessions, start, end)),
        certificates=_certificates(certificates),
        certified=len({c.student for c in certificates}),
        work=_work(placements),
        follow_ups=tuple(_follow_up(placements, n, days) for n, days in enumerate((30, 60, 90))),
    )


def share(part: int, whole: int) -> Decimal | None:
    """Return the part as a share of one; None of nothing."""
    return Decimal(part) / whole if whole else None


def _standings(served: list[Person], end: date) -> dict[str, int]:
    counts = Counter(_standing(person, end) for person in served)
    always = ("active", "completed", "dropped")
    return {name: counts[name] for name in STANDINGS if counts[name] or name in always}


def _standing(person: Person, end: date) -> str:
    """Return how a person stood at the end of the day `end`: what came later is not known yet."""
    if person.ended is not None and person.ended > end:
        return "active"
    if person.status == "placed":  # they completed before they found work, which has a table of its own
        return "completed"
    return person.status if person.status in STANDINGS else "active"


def _groups(served: list[Person]) -> tuple[Group, ...]:
    traits = {
        "Gender": Counter(p.gender or NOT_GIVEN for p in served),
        "Race and ethnicity": Counter(p.origin or NOT_GIVEN for p in served),
        "Age at enrollment": Counter(_age(p) for p in served),
        "Veteran status": Counter("Veteran" if p.veteran else "Not a veteran" for p in served),
    }
    return tuple(group for trait, counts in traits.items() for group in _shown(trait, counts, len(served)))


def _shown(trait: str, counts: Counter[str], served: int) -> list[Group]:
    left_out = hidden(counts)
    if left_out == counts.keys():  # even the names would tell: of three people in one group, what all three are
        return [Group(trait, "All groups", None, None)]

    # The order must not betray which of the hidden groups is larger.
    def place(group: str) -> tuple[bool, int, str]:
        if trait.startswith("Age"):
            return False, AGES.index(group), ""
        return group == NOT_GIVEN, 0 if group in left_out else -counts[group], group

    return [
        Group(
            trait,
            group,
            None if group in left_out else counts[group],
            None if group in left_out else share(counts[group], served),
        )
        for group in sorted(counts, key=place)
    ]


def _age(person: Person) -> str:
    if person.born is None:
        return NOT_GIVEN
    born, day = person.born, person.enrolled
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return next((name for most, name in zip((20, 25, 35, 45), AGES, strict=False) if years < most), AGES[4])


def _by_mark(sessions: list[Sessions]) -> list[Hours]:
    kinds = [*ATTENDANCE, *sorted({s.status for s in sessions} - set(ATTENDANCE))]
    return [
        _hours(ATTENDANCE.get(kind, kind), [s for s in sessions if s.status == kind])
        for kind in kinds
        if any(s.status == kind for s in sessions)
    ]


def _by_month(sessions: list[Sessions], start: date, end: date) -> list[Hours]:
    return [_hours(month, [s for s in sessions if month_of(s.day) == month]) for month in months_between(start, end)]


def _hours(name: str | date, sessions: list[Sessions]) -> Hours:
    return Hours(
        name,
        sum(s.count for s in sessions),
        sum(s.count for s in sessions if s.status in ATTENDED),
        sum((s.hours for s in sessions), Decimal("0.00")),
    )


def _certificates(issued: list[Certification]) -> tuple[tuple[str, int, int], ...]:
    """Return the name, how many were earned, and by how many people, most first."""
    counts = Counter(c.name for c in issued)
    return tuple(
        (name, count, len({c.student for c in issued if c.name == name}))
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def _work(placements: list[Placement]) -> tuple[Work, ...]:
    """Return union work, other work, and all: a wage of few people is theirs, and would follow from the other two."""
    kinds = {"Union employers": True, "Other employers": False}
    of_kind = {name: [p for p in placements if p.union is union] for name, union in kinds.items()}
    few = any(0 < len(found) < FEWEST for found in of_kind.values())
    return (
        *(Work(name, len(found), None if few else _average(found)) for name, found in of_kind.items()),
        Work("All placements", len(placements), _average(placements)),
    )


def _average(placements: list[Placement]) -> Decimal | None:
    if len(placements) < FEWEST:
        return None
    return (sum((p.wage for p in placements), Decimal(0)) / len(placements)).quantize(CENT, ROUND_HALF_UP)


def _follow_up(placements: list[Placement], n: int, days: int) -> FollowUp:
    answers = [p.followups[n] for p in placements if p.followups[n] is not None]
    return FollowUp(days, len(answers), sum(answer is True for answer in answers))
