"""Draws the students of the sample: cohorts, attendance, certifications, and the work that they found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from steward.cli.sample.chance import SampleRandom, plain
from steward.cli.sample.goods import CERTIFICATES
from steward.cli.sample.people import SampleMember, name
from steward.cli.sample.places import EMPLOYERS

COHORTS: Final[tuple[tuple[str, date, int, int], ...]] = (
    ("Pre-Apprenticeship, Autumn 2023", date(2023, 9, 11), 11, 24),
    ("Pre-Apprenticeship, Winter 2024", date(2024, 1, 8), 11, 26),
    ("Pre-Apprenticeship, Spring 2024", date(2024, 4, 8), 11, 25),
    ("Pre-Apprenticeship, Autumn 2024", date(2024, 9, 9), 11, 28),
    ("Pre-Apprenticeship, Winter 2025", date(2025, 1, 13), 11, 27),
    ("Pre-Apprenticeship, Spring 2025", date(2025, 4, 7), 11, 28),
    ("Portland Days, Summer 2025", date(2025, 7, 7), 10, 27),
    ("Portland Evenings, Autumn 2025", date(2025, 9, 8), 12, 28),
    ("Vancouver Days, Autumn 2025", date(2025, 10, 6), 10, 22),
    ("Portland Days, Winter 2026", date(2026, 1, 12), 10, 28),
    ("Vancouver Evenings, Winter 2026", date(2026, 2, 2), 12, 21),
    ("Portland Days, Spring 2026", date(2026, 4, 6), 10, 28),
    ("Vancouver Days, Spring 2026", date(2026, 4, 20), 10, 23),
    ("Portland Days, Summer 2026", date(2026, 7, 6), 10, 27),
    ("Portland Evenings, Autumn 2026", date(2026, 8, 17), 12, 29),
    ("Vancouver Evenings, Autumn 2026", date(2026, 9, 8), 12, 24),
    ("Portland Days, Late Autumn 2026", date(2026, 10, 12), 10, 18),
)
"""Name, first day, weeks, students."""

GENDERS: Final = {"Male": 60.0, "Female": 35.0, "Non-binary": 1.6, "Not given": 3.4}
ORIGINS: Final = {
    "White": 41.0,
    "Hispanic or Latino": 24.0,
    "Black or African American": 11.0,
    "Asian": 10.0,
    "Two or more races": 6.0,
    "Native American or Alaska Native": 1.8,
    "Pacific Islander or Native Hawaiian": 1.4,
    "Not given": 4.8,
}
REASONS: Final = ("Found other work", "Moved away", "Family reasons", "Transport", "Health", "Attendance", "Not known")
_PRESENCE: Final = {"present": 83.0, "absent": 7.0, "late": 5.5, "excused": 3.0, "early_departure": 1.5}
_SESSION: Final = Decimal("3.50")


@dataclass(slots=True)
class SampleStudent:
    """One student as drawn, in one cohort."""

    identity: int
    first: str
    last: str
    member: int | None
    born: date
    gender: str
    origin: str
    veteran: bool
    cohort: int
    status: str
    enrolled: date
    ended: date | None
    reason: str | None


class SampleTraining:
    """Cohorts and their students, as rows of the six tables of training."""

    def __init__(self, members: list[SampleMember], cut_off: datetime) -> None:
        self._today = cut_off.date()
        self._chance = SampleRandom("students")
        self._apprentices = self._by_cohort(members)
        self.students = list(self._students())

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of every table, by its name."""
        return {
            "students": [self._row(student) for student in self.students],
            "cohorts": [(n, title, first, _end(first, weeks)) for n, (title, first, weeks, _) in enumerate(COHORTS, 1)],
            "enrollments": [(s.identity, s.identity, s.cohort, s.status, s.enrolled, s.ended) for s in self.students],
            "attendance": [(n, *row) for n, row in enumerate(self._attendance(), 1)],
            "certifications": [(n, *row) for n, row in enumerate(self._certifications(), 1)],
            "placements": [(n, *row) for n, row in enumerate(self._placements(), 1)],
        }

    def _by_cohort(self, members: list[SampleMember]) -> dict[int, list[tuple[int, SampleMember]]]:
        """Return which apprentices came through which cohort: it ended in the half year before they joined."""
        found: dict[int, list[tuple[int, SampleMember]]] = {}
        for identity, member in enumerate(members, 1):
            if not member.classification.startswith("apprentice_") or self._chance.happens(0.3):
                continue
            for cohort, (_, first, weeks, size) in enumerate(COHORTS, 1):
                waited = (member.joined - _end(first, weeks)).days
                if 5 <= waited <= 180 and len(found.setdefault(cohort, [])) < size * 2 // 5:
                    found[cohort].append((identity, member))
                    break
        return found

    def _students(self) -> Iterator[SampleStudent]:
        chance = self._chance
        identity = 0
        for cohort, (_, first, weeks, size) in enumerate(COHORTS, 1):
            joined = self._apprentices.get(cohort, [])
            for n in range(size):
                identity += 1
                known = joined[n] if n < len(joined) else None
                if known:
                    given, last, born = known[1].first, known[1].last, known[1].born
                else:
                    given, _, last = name(chance, women=0.37)
                    born = first - timedelta(days=int((18 + 22 * chance.share() ** 1.6) * 365.25))
                status, ended = self._outcome(first, _end(first, weeks), known is not None)
                yield SampleStudent(
                    identity=identity,
                    first=given,
                    last=last,
                    member=known[0] if known else None,
                    born=born,
                    gender=chance.weighted(GENDERS),
                    origin=chance.weighted(ORIGINS),
                    veteran=chance.happens(0.11),
                    cohort=cohort,
                    status=status,
                    enrolled=min(first - timedelta(days=chance.number(3, 40)), self._today),
                    ended=ended,
                    reason=chance.one(REASONS) if status in ("dropped", "withdrawn") else None,
                )

    def _outcome(self, first: date, end: date, joined: bool) -> tuple[str, date | None]:
        chance, today = self._chance, self._today
        if first > today:
            return ("enrolled" if chance.happens(0.45) else "applicant"), None
        early = chance.day(first + timedelta(days=6), min(end, today))
        if end > today:
            if chance.happens(0.07) and early <= today:
                return "dropped", early
            return ("active" if chance.happens(0.93) else "enrolled"), None
        if joined:
            return "placed", end
        status = chance.weighted({"placed": 36.0, "completed": 39.0, "dropped": 15.0, "withdrawn": 10.0})
        if status == "placed" and (today - end).days < 15:
            status = "completed"
        return status, early if status in ("dropped", "withdrawn") else end

    def _row(self, student: SampleStudent) -> tuple[Any, ...]:
        return (
            student.identity,
            student.member,
            f"S-{student.enrolled.year}-{student.identity:04d}",
            student.first,
            student.last,
            f"{plain(student.first)}.{plain(student.last)}.{student.identity}@example.org",
            student.born,
            student.gender,
            student.origin,
            student.veteran,
            datetime.combine(student.enrolled, time(10)),
            None,
        )

    def _attendance(self) -> Iterator[tuple[Any, ...]]:
        chance = SampleRandom("attendance")
        for student in self.students:
            _, first, weeks, _ = COHORTS[student.cohort - 1]
            if student.status == "applicant":
                continue
            last = min(student.ended or self._today, self._today)
            for session in range(weeks * 3):
                day = first + timedelta(days=7 * (session // 3) + 2 * (session % 3))
                if day > last:
                    break
                status = chance.weighted(_PRESENCE)
                yield student.identity, student.cohort, day, status, self._hours(chance, status)

    def _hours(self, chance: SampleRandom, status: str) -> Decimal:
        if status in ("absent", "excused"):
            return Decimal("0.00")
        missed = {
            "late": Decimal("0.25") * chance.number(1, 4),
            "early_departure": Decimal("0.50") * chance.number(1, 4),
        }
        return _SESSION - missed.get(status, Decimal(0))

    def _certifications(self) -> Iterator[tuple[Any, ...]]:
        chance = SampleRandom("certifications")
        for student in self.students:
            _, first, weeks, _ = COHORTS[student.cohort - 1]
            if student.status not in ("completed", "placed", "active"):
                continue
            for title, share, months in CERTIFICATES:
                issued = chance.day(first + timedelta(days=10), _end(first, weeks))
                if chance.happens(share) and issued <= self._today:
                    yield student.identity, title, issued, _later(issued, months) if months else None

    def _placements(self) -> Iterator[tuple[Any, ...]]:
        chance = SampleRandom("placements")
        signed = [employer for employer in EMPLOYERS if employer[3]]
        others = [employer for employer in EMPLOYERS if not employer[3]]
        for student in self.students:
            if student.status != "placed" or student.ended is None:
                continue
            union = student.member is not None or chance.happens(0.68)
            start = min(student.ended + timedelta(days=chance.number(5, 45)), self._today - timedelta(days=2))
            wage = Decimal("24.70") if union else Decimal(chance.number(380, 460) * 5) / 100
            if union and chance.happens(0.2):
                wage = Decimal("27.15")
            stays = chance.share()
            due = [
                stays < share if start + timedelta(days=days) <= self._today else None
                for days, share in ((30, 0.965), (60, 0.925), (90, 0.88))
            ]
            yield student.identity, chance.one(signed if union else others)[0], start, wage, union, *due


def _end(first: date, weeks: int) -> date:
    return first + timedelta(days=7 * weeks - 3)


def _later(day: date, months: int) -> date:
    return date(day.year + months // 12, day.month, min(day.day, 28))
