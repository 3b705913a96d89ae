"""Reads the attendance of a grant's people: days, marks and hours, added up by the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from steward import Record, Source, to_decimal

# What a grant's people did counts from the day they were enrolled in it, whatever else they take part in.
PEOPLE = """
    SELECT student_id, MIN(enrolled_date) AS since FROM grant_enrollments
    WHERE grant_id = :grant AND status <> 'applicant' AND enrolled_date <= :until GROUP BY student_id
"""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Attendance of one day and one kind: how many were marked so, and the hours they count for."""

    day: date
    status: str
    count: int
    hours: Decimal


def sessions(source: Source, given: dict[str, Any]) -> tuple[Sessions, ...]:
    """Return the attendance of the grant's people from their enrollment up to the day `until`.

    Raises:
        UnreadableData: a day or hours that cannot be meant, with the row.
    """
    # Hours are added up as whole hundredths: SQLite would add floats, and says that a text is the greatest of figures.
    statement = f"""
        SELECT a.session_date, a.status, MIN(a.id) AS id, MIN(a.hours) AS least, MAX(a.hours) AS hours,
            SUM(CASE WHEN a.hours IS NULL THEN 1 ELSE 0 END) AS unknown,
            SUM(CASE WHEN a.session_date >= p.since THEN 1 ELSE 0 END) AS marked,
            SUM(CASE WHEN a.session_date >= p.since THEN CAST(ROUND(a.hours * 100) AS INTEGER) ELSE 0 END) AS hundredths
        FROM attendance a JOIN ({PEOPLE}) p ON p.student_id = a.student_id
        GROUP BY a.session_date, a.status ORDER BY a.session_date, a.status
    """
    found = []
    for row in source.rows(statement, **given):
        record = Record("attendance", row)
        day, status = record.day("session_date"), record.text("status")
        if row["unknown"] or not _is_figure(row):
            _name_hours(source, row)
        if day <= given["until"] and row["marked"]:
            found.append(Sessions(day, status, row["marked"], Decimal(int(row["hundredths"])).scaleb(-2)))
    return tuple(found)


def _is_figure(row: Mapping[str, Any]) -> bool:
    try:
        return min(to_decimal(row["least"]), to_decimal(row["hours"])) >= 0
    except ValueError:
        return False


def _name_hours(source: Source, row: Mapping[str, Any]) -> None:
    """Raise `UnreadableData` for the first of the rows behind `row` whose hours cannot be read."""
    statement = "SELECT id, hours FROM attendance WHERE session_date = :day AND status = :status ORDER BY id"
    for record in source.records("attendance", statement, day=row["session_date"], status=row["status"]):
        record.decimal("hours", least=0)
