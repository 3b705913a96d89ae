"""The report's tables, made from its figures: the PDF, the CSV and the XLSX are written from these."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from steward import Column, Table

from .money import Money, per_head
from .people import STANDINGS, People, share

NOT_SHOWN = "not shown"
PAYMENTS = {"ach": "ACH"}


def tables(money: Money, people: People, at_its_end: str = "at the end of the period") -> list[Table]:
    """Return every table of the report, in its order; `at_its_end` says for which moment standings are told."""
    found = [_budget(money), _months(money)]
    if money.not_allowable:
        found.append(_not_allowable(money))
    if people.served:
        found += [_people(people, at_its_end), _groups(people)]
    if people.marks:
        found += [_attendance(people), _attendance_by_month(people)]
    if people.certificates:
        found.append(_certificates(people))
    if people.placed.count:
        found += [_work(people), _follow_ups(people)]
    if people.served or people.placed.count:
        found.append(_costs(money, people))
    return [*found, _ledger(money)]


def statement_table(stated: Iterable[tuple[str, str]]) -> Table:
    """Return the statement of the figures as a table, so that the spreadsheets say it as well."""
    columns = [Column("subject", "Subject", width=3), Column("statement", "Statement", width=9)]
    return Table("statement", columns, stated, "Statement of the figures")


def title(name: str) -> str:
    """Return a name of the database as a person reads it."""
    return PAYMENTS.get(name, name.replace("_", " ").capitalize())


def month(first: date) -> str:
    """Return a month in words."""
    return f"{first:%B %Y}"


def _budget(money: Money) -> Table:
    # Without anything before the period the two columns would say the same.
    earlier = money.before != 0
    columns = [
        Column("category", "Category", width=3),
        Column("allowable", "Allowable", width=1.7),
        Column("budget", "Budget", "money", 2.3),
        *([Column("before", "Before the period", "money", 2.3)] if earlier else ()),
        Column("spent", "In the period", "money", 2.3),
        *([Column("to_date", "Spent to date", "money", 2.3)] if earlier else ()),
        Column("left", "Left of the budget", "money", 2.3),
        Column("used", "Used", "percent", 1.5),
    ]
    rows = []
    for line in money.lines:
        parts = (line.before, line.spent, line.to_date) if earlier else (line.spent,)
        rows.append(
            (title(line.category), "yes" if line.allowable else "no", line.budget, *parts, line.left, line.used)
        )
    parts = (money.before, money.spent, money.to_date) if earlier else (money.spent,)
    total = ("Total", "", money.budget, *parts, money.budget - money.to_date, money.used)
    return Table("budget", columns, rows, "Budget and spending by category", total)


def _months(money: Money) -> Table:
    earlier = money.before != 0
    columns = [
        Column("month", "Month", width=3),
        Column("entries", "Entries", "integer", 1.5),
        *([Column("before", "Before the period", "money", 2.3)] if earlier else ()),
        Column("spent", "In the period", "money", 2.3),
        Column("to_date", "Spent to date", "money", 2.3),
    ]
    rows = [(month(m.first), m.entries, *((m.before,) if earlier else ()), m.spent, m.to_date) for m in money.months]
    entries = sum(m.entries for m in money.months)
    total = ("Total", entries, *((money.before,) if earlier else ()), money.spent, money.to_date)
    return Table("months", columns, rows, "Spending by month", total)


def _not_allowable(money: Money) -> Table:
    columns = [
        Column("date", "Date", "date", 1.9),
        Column("item", "Item", width=4),
        Column("category", "Category", width=1.7),
        Column("vendor", "Vendor", width=3),
        Column("receipt", "Receipt", width=1.8),
        Column("total", "Total", "money", 1.7),
    ]
    rows = [(e.day, e.item, title(e.category), e.vendor, e.receipt or "none", e.total) for e in money.not_allowable]
    whole = sum(e.total for e in money.not_allowable)
    return Table(
        "not-allowable", columns, rows, "Entries in categories that are not allowable", ("Total", *[None] * 4, whole)
    )


def _people(people: People, at_its_end: str) -> Table:
    columns = [
        Column("standing", f"Standing {at_its_end}", width=5),
        Column("people", "People", "integer", 2),
        Column("share", "Share of those served", "percent", 2),
    ]
    rows = [(STANDINGS[name], count, share(count, people.served)) for name, count in people.standings.items()]
    total = ("People served", people.served, share(people.served, people.served))
    return Table("people", columns, rows, "People served", total)


def _groups(people: People) -> Table:
    columns = [
        Column("trait", "Characteristic", width=4),
        Column("group", "Group", width=5),
        Column("people", "People", "integer", 2),
        Column("share", "Share", "percent", 2),
    ]
    rows = [
        (g.trait, g.name, NOT_SHOWN if g.people is None else g.people, "" if g.share is None else g.share)
        for g in people.groups
    ]
    return Table("demographics", columns, rows, "Demographics of the people served")


def _attendance(people: People) -> Table:
    columns = [
        Column("mark", "Recorded as", width=4),
        Column("marks", "Attendances recorded", "integer", 2),
        Column("share", "Share", "percent", 1.6),
        Column("hours", "Hours", "decimal", 2),
    ]
    rows = [(kind.name, kind.marks, share(kind.marks, people.marks), kind.hours) for kind in people.by_mark]
    total = ("Total", people.marks, share(people.marks, people.marks), people.hours)
    return Table("attendance", columns, rows, "Attendance by kind", total)


def _attendance_by_month(people: People) -> Table:
    columns = [
        Column("month", "Month", width=4),
        Column("marks", "Attendances recorded", "integer", 2),
        Column("attended", "Attended", "integer", 1.6),
        Column("rate", "Rate", "percent", 1.6),
        Column("hours", "Hours", "decimal", 2),
    ]
    rows = [
        (
            month(m.name) if isinstance(m.name, date) else m.name,
            m.marks,
            m.attended,
            share(m.attended, m.marks),
            m.hours,
        )
        for m in people.by_month
    ]
    total = ("Total", people.marks, people.attended, share(people.attended, people.marks), people.hours)
    return Table("attendance-by-month", columns, rows, "Attendance by month", total)


def _certificates(people: People) -> Table:
    columns = [
        Column("certificate", "Certification", width=5),
        Column("earned", "Earned", "integer", 2),
        Column("people", "People", "integer", 2),
    ]
    total = ("Total", people.certificates_earned, people.certified)
    return Table("certifications", columns, people.certificates, "Certifications earned", total)


def _work(people: People) -> Table:
    columns = [
        Column("kind", "Employer", width=5),
        Column("placements", "Placements", "integer", 2),
        Column("share", "Share", "percent", 1.6),
        Column("wage", "Average hourly wage", "money", 2),
    ]
    rows = [
        (
            kind.name,
            kind.count,
            share(kind.count, people.placed.count),
            NOT_SHOWN if kind.count and kind.wage is None else kind.wage,
        )
        for kind in people.work
    ]
    return Table("placements", columns, rows[:-1], "Placements in the period", rows[-1])


def _follow_ups(people: People) -> Table:
    columns = [
        Column("after", "Follow-up", width=5),
        Column("due", "Placements asked about", "integer", 2),
        Column("employed", "Still employed", "integer", 2),
        Column("rate", "Rate", "percent", 1.6),
    ]
    rows = [(f"After {f.days} days", f.due, f.employed, share(f.employed, f.due)) for f in people.follow_ups]
    return Table("follow-up", columns, rows, "Still employed after 30, 60 and 90 days")


def _costs(money: Money, people: People) -> Table:
    columns = [
        Column("measure", "Measure", width=4),
        Column("spent", "Spent in the period", "money", 2.2),
        Column("number", "Divided by", "integer", 1.6),
        Column("cost", "Cost", "money", 2),
    ]
    heads = {
        "For each person served": people.served,
        "For each person who completed": people.standings["completed"],
        "For each placement": people.placed.count,
    }
    rows = [(name, money.spent, number, per_head(money.spent, number)) for name, number in heads.items()]
    return Table("costs", columns, rows, "Cost for each person and each placement")


def _ledger(money: Money) -> Table:
    columns = [
        Column("date", "Date", "date", 21),
        Column("item", "Item", width=57),
        Column("category", "Category", width=20),
        Column("vendor", "Vendor", width=41),
        Column("paid", "Paid by", width=13),
        Column("receipt", "Receipt", width=22),
        Column("quantity", "Quantity", "decimal", 14),
        Column("price", "Unit price", "money", 17),
        Column("tax", "Tax", "money", 16),
        Column("discount", "Discount", "money", 15),
        Column("total", "Total", "money", 20),
    ]
    rows = [
        (
            e.day,
            e.item,
            title(e.category),
            e.vendor,
            title(e.payment),
            e.receipt or "none",
            e.quantity,
            e.price,
            e.tax,
            e.discount,
            e.total,
        )
        for e in money.ledger
    ]
    taxes = sum((e.tax for e in money.ledger), money.spent * 0)
    discounts = sum((e.discount for e in money.ledger), money.spent * 0)
    total = ("Total", *[None] * 7, taxes, discounts, money.spent)
    return Table("ledger", columns, rows, "Every expense of the period", total)
