"""Reads what the application's database holds on a grant, as exact figures and days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from steward import Record, Source

from .attendance import PEOPLE, Sessions, sessions
from .standings import STATUSES


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
    statement = "SELECT id, grant_number FROM grants ORDER BY grant_number"
    return [row.text("grant_number") for row in source.records("grants", statement)]


def find(source: Source, number: str) -> Grant | None:
    """Return the grant of this number, if there is one."""
    row = source.one("SELECT * FROM grants WHERE grant_number = :number", number=number)
    if row is None:
        return None
    found = Record("grants", row)
    return Grant(
        id=found.integer("id"),
        name=found.text("name"),
        number=found.text("grant_number"),
        funder=found.text("funding_source"),
        amount=found.decimal("total_amount", least=0),
        spent=found.decimal("spent_amount"),
        start=found.day("start_date"),
        end=found.day("end_date"),
        allowable=found.texts("allowable_categories"),
        frequency=found.text("reporting_frequency"),
        cap=found.integer_or_none("enrollment_cap", least=0),
    )


def is_silent(source: Source, grant: Grant, start: date, end: date) -> bool:
    """Return whether nothing is dated from `start` to `end`: no expense, no enrollment or end of one, no attendance."""
    statement = f"""
        SELECT (SELECT COUNT(*) FROM expenses
                WHERE grant_id = :grant AND purchased_at >= :since AND purchased_at < :after)
            + (SELECT COUNT(*) FROM grant_enrollments WHERE grant_id = :grant AND status <> 'applicant'
                AND (enrolled_date BETWEEN :since AND :until OR ended_date BETWEEN :since AND :until))
            + (SELECT COUNT(*) FROM attendance a JOIN ({PEOPLE}) p ON p.student_id = a.student_id
                WHERE a.session_date BETWEEN :since AND :until AND a.session_date >= p.since)
    """
    return not source.value(statement, grant=grant.id, since=start, until=end, after=end + timedelta(days=1))


def span(source: Source, grant: Grant) -> tuple[date, date] | None:
    """Return the days of the first and the last entry (an expense or an enrollment); None if there is none at all."""
    days = [
        row.day("day")
        for table, column in (("expenses", "purchased_at"), ("grant_enrollments", "enrolled_date"))
        for order in ("", "DESC")
        for row in source.records(
            table,
            f"SELECT id, {column} AS day FROM {table} WHERE grant_id = :grant AND {column} IS NOT NULL "
            f"ORDER BY {column} {order} LIMIT 1",
            grant=grant.id,
        )
    ]
    return (min(days), max(days)) if days else None


def read(source: Source, grant: Grant, until: date) -> Records:
    """Return what is on record for the grant. Of people only what came up to and including the day `until`."""
    given = {"grant": grant.id, "until": until}
    return Records(
        grant=grant,
        budget=_budget(source, grant),
        expenses=_expenses(source, grant),
        people=_people(source, given),
        sessions=sessions(source, given),
        certifications=_certifications(source, given),
        placements=_placements(source, given),
    )


def _budget(source: Source, grant: Grant) -> dict[str, Decimal]:
    statement = "SELECT id, category, amount FROM grant_budgets WHERE grant_id = :grant ORDER BY category, id"
    found: dict[str, Decimal] = {}
    for row in source.records("grant_budgets", statement, grant=grant.id):
        category = row.text("category")
        found[category] = found.get(category, Decimal(0)) + row.decimal("amount")
    return found


def _expenses(source: Source, grant: Grant) -> tuple[Expense, ...]:
    statement = "SELECT * FROM expenses WHERE grant_id = :grant ORDER BY purchased_at, id"
    return tuple(
        Expense(
            day=row.day("purchased_at"),
            item=row.text("item"),
            description=row.words("description"),
            category=row.text("category"),
            vendor=row.words("vendor"),
            payment=row.text("payment_method"),
            receipt=row.words("receipt_number"),
            quantity=row.decimal("quantity"),
            price=row.decimal("unit_price"),
            tax=row.decimal("tax"),
            discount=row.decimal("discount"),
            total=row.decimal("total_price"),
        )
        for row in source.records("expenses", statement, grant=grant.id)
    )


def _people(source: Source, given: dict[str, Any]) -> tuple[Person, ...]:
    """Return each person once, by their latest enrolment in the grant that began by the last day."""
    statement = """
        SELECT e.id, e.student_id, e.enrolled_date, e.ended_date, e.status, s.gender, s.race_ethnicity, s.veteran,
            s.date_of_birth
        FROM grant_enrollments e JOIN students s ON s.id = e.student_id
        WHERE e.grant_id = :grant ORDER BY e.enrolled_date, e.id
    """
    found: dict[int, Person] = {}
    # What the database compares as text may hide a day that cannot be read: every row is read, and chosen here.
    for row in source.rows(statement, grant=given["grant"]):
        enrollment = Record("grant_enrollments", row)
        student = Record("students", row, "student_id", ("gender", "race_ethnicity", "date_of_birth"))
        enrolled, status = enrollment.day("enrolled_date"), enrollment.one_of("status", STATUSES)
        ended = enrollment.day_or_none("ended_date")
        if status == "applicant" or enrolled > given["until"]:
            continue
        number = enrollment.integer("student_id")
        found[number] = Person(
            id=number,
            enrolled=enrolled,
            ended=ended,
            status=status,
            gender=student.words("gender"),
            origin=student.words("race_ethnicity"),
            veteran=student.flag("veteran"),
            born=student.day_or_none("date_of_birth"),
        )
    return tuple(found.values())


def _certifications(source: Source, given: dict[str, Any]) -> tuple[Certification, ...]:
    statement = f"""
        SELECT c.id, c.student_id, c.name, c.issued_date, p.since
        FROM certifications c JOIN ({PEOPLE}) p ON p.student_id = c.student_id ORDER BY c.issued_date, c.id
    """
    return tuple(
        Certification(row.integer("student_id"), row.text("name"), day)
        for row in source.records("certifications", statement, **given)
        if row.day("since") <= (day := row.day("issued_date")) <= given["until"]
    )


def _placements(source: Source, given: dict[str, Any]) -> tuple[Placement, ...]:
    statement = f"""
        SELECT w.*, p.since FROM placements w JOIN ({PEOPLE}) p ON p.student_id = w.student_id
        ORDER BY w.start_date, w.id
    """
    return tuple(
        Placement(
            student=row.integer("student_id"),
            start=day,
            wage=row.decimal("hourly_wage", least=0),
            union=row.flag("is_union"),
            followups=tuple(row.flag_or_none(f"followup_{n}") for n in (30, 60, 90)),
        )
        for row in source.records("placements", statement, **given)
        if row.day("since") <= (day := row.day("start_date")) <= given["until"]
    )
