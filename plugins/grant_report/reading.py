"""Reads what the application's database holds on a grant, as exact figures and days."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from steward import Source, to_date, to_decimal

# What a grant's people did counts from the day they were enrolled in it, whatever else they take part in.
_PEOPLE = """
    SELECT student_id, MIN(enrolled_date) AS since FROM grant_enrollments
    WHERE grant_id = :grant AND status <> 'applicant' AND enrolled_date <= :until GROUP BY student_id
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it was awarded."""

    id: int
    name: str
    number: str
    funder: str
    amount: Decimal
    spent: Decimal
    start: date
    end: date
    allowable: frozenset[str]
    frequency: str
    cap: int | None


@dataclass(frozen=True, slots=True)
class Expense:
    """One entry of the ledger. `total` is quantity times price, plus tax, less discount, as it was recorded."""

    day: date
    item: str
    description: str
    category: str
    vendor: str
    payment: str
    receipt: str
    quantity: Decimal
    price: Decimal
    tax: Decimal
    discount: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled in the grant: how they stand, and what a funder asks of everybody."""

    id: int
    enrolled: date
    ended: date | None
    status: str
    gender: str
    origin: str
    veteran: bool
    born: date | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """Attendance of one day and one kind: how many were marked so, and the hours they count for."""

    day: date
    status: str
    count: int
    hours: Decimal


@dataclass(frozen=True, slots=True)
class Certification:
    """A certificate that was issued."""

    student: int
    name: str
    issued: date


@dataclass(frozen=True, slots=True)
class Placement:
    """Work that was found. A follow-up is None until it is due; true means still employed."""

    student: int
    start: date
    wage: Decimal
    union: bool
    followups: tuple[bool | None, bool | None, bool | None]


@dataclass(frozen=True, slots=True)
class Records:
    """All that is on record for a grant: every expense, and of people what came by the last day of the period."""

    grant: Grant
    budget: dict[str, Decimal]
    expenses: tuple[Expense, ...]
    people: tuple[Person, ...]
    sessions: tuple[Sessions, ...]
    certifications: tuple[Certification, ...]
    placements: tuple[Placement, ...]


def numbers(source: Source) -> list[str]:
    """Return the number of every grant."""
    return [row["grant_number"] for row in source.rows("SELECT grant_number FROM grants ORDER BY grant_number")]


def find(source: Source, number: str) -> Grant | None:
    """Return the grant of this number, if there is one."""
    row = source.one("SELECT * FROM grants WHERE grant_number = :number", number=number)
    if row is None:
        return None
    return Grant(
        id=row["id"],
        name=row["name"],
        number=row["grant_number"],
        funder=row["funding_source"],
        amount=to_decimal(row["total_amount"]),
        spent=to_decimal(row["spent_amount"]),
        start=to_date(row["start_date"]),
        end=to_date(row["end_date"]),
        allowable=frozenset(json.loads(row["allowable_categories"] or "[]")),
        frequency=row["reporting_frequency"],
        cap=row["enrollment_cap"],
    )


def is_silent(source: Source, grant: Grant, start: date, end: date) -> bool:
    """Return whether nothing is dated from `start` to `end`: no expense, no enrollment or end of one, no attendance."""
    statement = f"""
        SELECT (SELECT COUNT(*) FROM expenses
                WHERE grant_id = :grant AND purchased_at >= :since AND purchased_at < :after)
            + (SELECT COUNT(*) FROM grant_enrollments WHERE grant_id = :grant AND status <> 'applicant'
                AND (enrolled_date BETWEEN :since AND :until OR ended_date BETWEEN :since AND :until))
            + (SELECT COUNT(*) FROM attendance a JOIN ({_PEOPLE}) p ON p.student_id = a.student_id
                WHERE a.session_date BETWEEN :since AND :until AND a.session_date >= p.since)
    """
    return not source.value(statement, grant=grant.id, since=start, until=end, after=end + timedelta(days=1))


def span(source: Source, grant: Grant) -> tuple[date, date] | None:
    """Return the days of the first and the last entry (an expense or an enrollment); None if there is none at all."""
    statements = (
        "SELECT MIN(purchased_at) AS first, MAX(purchased_at) AS last FROM expenses WHERE grant_id = :grant",
        "SELECT MIN(enrolled_date) AS first, MAX(enrolled_date) AS last FROM grant_enrollments WHERE grant_id = :grant",
    )
    rows = [row for text in statements if (row := source.one(text, grant=grant.id)) and row["first"] is not None]
    if not rows:
        return None
    return min(to_date(row["first"]) for row in rows), max(to_date(row["last"]) for row in rows)


def read(source: Source, grant: Grant, until: date) -> Records:
    """Return what is on record for the grant. Of people only what came up to and including the day `until`."""
    given = {"grant": grant.id, "until": until}
    return Records(
        grant=grant,
        budget=_budget(source, grant),
        expenses=_expenses(source, grant),
        people=_people(source, given),
        sessions=_sessions(source, given),
        certifications=_certifications(source, given),
        placements=_placements(source, given),
    )


def _budget(source: Source, grant: Grant) -> dict[str, Decimal]:
    statement = "SELECT category, amount FROM grant_budgets WHERE grant_id = :grant ORDER BY category, id"
    found: dict[str, Decimal] = {}
    for row in source.rows(statement, grant=grant.id):
        found[row["category"]] = found.get(row["category"], Decimal(0)) + to_decimal(row["amount"])
    return found


def _expenses(source: Source, grant: Grant) -> tuple[Expense, ...]:
    statement = "SELECT * FROM expenses WHERE grant_id = :grant ORDER BY purchased_at, id"
    return tuple(
        Expense(
            day=to_date(row["purchased_at"]),
            item=row["item"],
            description=row["description"] or "",
            category=row["category"],
            vendor=row["vendor"] or "",
            payment=row["payment_method"],
            receipt=row["receipt_number"] or "",
            quantity=to_decimal(row["quantity"]),
            price=to_decimal(row["unit_price"]),
            tax=to_decimal(row["tax"]),
            discount=to_decimal(row["discount"]),
            total=to_decimal(row["total_price"]),
        )
        for row in source.rows(statement, grant=grant.id)
    )


def _people(source: Source, given: dict[str, object]) -> tuple[Person, ...]:
    """Return each person once, by their latest enrolment in the grant that began by the last day."""
    statement = """
        SELECT e.student_id, e.enrolled_date, e.ended_date, e.status, s.gender, s.race_ethnicity, s.veteran,
            s.date_of_birth
        FROM grant_enrollments e JOIN students s ON s.id = e.student_id
        WHERE e.grant_id = :grant AND e.status <> 'applicant' AND e.enrolled_date <= :until
        ORDER BY e.enrolled_date, e.id
    """
    found: dict[int, Person] = {}
    for row in source.rows(statement, **given):
        found[row["student_id"]] = Person(
            id=row["student_id"],
            enrolled=to_date(row["enrolled_date"]),
            ended=to_date(row["ended_date"]),
            status=row["status"],
            gender=row["gender"] or "",
            origin=row["race_ethnicity"] or "",
            veteran=bool(row["veteran"]),
            born=to_date(row["date_of_birth"]),
        )
    return tuple(found.values())


def _sessions(source: Source, given: dict[str, object]) -> tuple[Sessions, ...]:
    # Hours are added up as whole hundredths: SQLite would add floats.
    statement = f"""
        SELECT a.session_date, a.status, COUNT(*) AS marked, SUM(CAST(ROUND(a.hours * 100) AS INTEGER)) AS hundredths
        FROM attendance a JOIN ({_PEOPLE}) p ON p.student_id = a.student_id
        WHERE a.session_date BETWEEN p.since AND :until
        GROUP BY a.session_date, a.status ORDER BY a.session_date, a.status
    """
    return tuple(
        Sessions(to_date(row["session_date"]), row["status"], row["marked"], Decimal(int(row["hundredths"])).scaleb(-2))
        for row in source.rows(statement, **given)
    )


def _certifications(source: Source, given: dict[str, object]) -> tuple[Certification, ...]:
    statement = f"""
        SELECT c.student_id, c.name, c.issued_date
        FROM certifications c JOIN ({_PEOPLE}) p ON p.student_id = c.student_id
        WHERE c.issued_date BETWEEN p.since AND :until ORDER BY c.issued_date, c.id
    """
    return tuple(
        Certification(row["student_id"], row["name"], to_date(row["issued_date"]))
        for row in source.rows(statement, **given)
    )


def _placements(source: Source, given: dict[str, object]) -> tuple[Placement, ...]:
    statement = f"""
        SELECT w.* FROM placements w JOIN ({_PEOPLE}) p ON p.student_id = w.student_id
        WHERE w.start_date BETWEEN p.since AND :until ORDER BY w.start_date, w.id
    """
    return tuple(
        Placement(
            student=row["student_id"],
            start=to_date(row["start_date"]),
            wage=to_decimal(row["hourly_wage"]),
            union=bool(row["is_union"]),
            followups=tuple(None if row[f"followup_{n}"] is None else bool(row[f"followup_{n}"]) for n in (30, 60, 90)),
        )
        for row in source.rows(statement, **given)
    )
