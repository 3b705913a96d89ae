"""The summary's tables, made from its figures: the PDF, the CSV and the XLSX are written from these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

from steward import Column, Table

from .figures import Figures
from .reading import Member
from .words import as_on_record, label, span


def tables(figures: Figures, read: date, *, roster: bool) -> list[Table]:
    """Return every table of the summary that has something to say, in its order; `read` is the records' day."""
    today = as_on_record(read)
    found = [] if figures.statuses else [_roll(figures)]
    found += [_statuses(figures, today), _classes(figures, today)]
    if figures.apprentices:
        found.append(_apprentices(figures, today))
    found.append(_movements(figures))
    if figures.ages:
        found.append(_groups("ages", "Members by age", "Age", figures.ages))
    if figures.towns:
        found.append(_groups("towns", f"Members by town, {today}", "Town", figures.towns))
    return [*found, _roster(figures, today)] if roster else found


def statement_table(stated: Iterable[tuple[str, str]]) -> Table:
    """Return the statement of the figures as a table, so that the spreadsheets say it as well."""
    columns = [Column("subject", "Subject", width=3), Column("statement", "Statement", width=9)]
    return Table("statement", columns, stated, "Statement of the figures")


def _roll(figures: Figures) -> Table:
    columns = [Column("day", "At the end of", "date", 2), Column("members", "On the roll", "integer", 1)]
    return Table("roll", columns, figures.years, "Members on the roll over the years")


def _statuses(figures: Figures, today: str) -> Table:
    counts = [(label(name), count) for name, count in figures.by_status.items()]
    return _groups("statuses", f"Members by status, {today}", "Status", counts)


def _groups(name: str, title: str, heading: str, counts: Iterable[tuple[str, int]]) -> Table:
    counts = list(counts)
    whole = sum(count for _, count in counts)
    return Table(
        name,
        [
            Column(name, heading, width=4),
            Column("members", "Members", "integer", 1.6),
            Column("share", "Share", "percent", 1.4),
        ],
        [(group, count, share(count, whole)) for group, count in counts],
        title,
        ("Total", whole, share(whole, whole)),
    )


def _classes(figures: Figures, today: str) -> Table:
    statuses = list(figures.by_status)
    whole = figures.records.counted
    return Table(
        "classifications",
        [
            Column("classification", "Classification", width=3.4),
            *(Column(status, label(status), "integer", 1.6) for status in statuses),
            Column("members", "All", "integer", 1.3),
            Column("share", "Share", "percent", 1.3),
        ],
        [
            (label(name), *(figures.crossed.get((name, status), 0) for status in statuses), count, share(count, whole))
            for name, count in figures.by_class.items()
        ],
        f"Members by classification and status, {today}",
        ("Total", *figures.by_status.values(), whole, share(whole, whole)),
    )


def _apprentices(figures: Figures, today: str) -> Table:
    whole = sum(every for every, _ in figures.apprentices.values())
    new = sum(fresh for _, fresh in figures.apprentices.values())
    return Table(
        "apprentices",
        [
            Column("year", "Year", width=3),
            Column("members", "Apprentices", "integer", 1.6),
            Column("share", "Share", "percent", 1.3),
            Column("new", "Of these joined in the period", "integer", 2),
        ],
        [
            (label(name).partition(", ")[2].capitalize(), every, share(every, whole), fresh)
            for name, (every, fresh) in figures.apprentices.items()
        ],
        f"Apprentices by year, {today}",
        ("Total", whole, share(whole, whole), new),
    )


def _movements(figures: Figures) -> Table:
    left = figures.left
    return Table(
        "movements",
        [
            Column("span", "Part of the period", width=3),
            Column("joined", "Joined", "integer", 1.3),
            Column("left", "Left", "integer", 1.3),
            Column("retired", "Retired", "integer", 1.6),
            Column("inactive", "Inactive", "integer", 1.6),
            Column("deceased", "Deceased", "integer", 1.6),
            Column("change", "Change", "integer", 1.3),
        ],
        [
            (span(part), part.joined, part.all_left, *part.left.values(), part.joined - part.all_left)
            for part in figures.spans
        ],
        "Joined and left",
        ("Total", figures.joined, sum(left.values()), *left.values(), figures.joined - sum(left.values())),
    )


def _roster(figures: Figures, today: str) -> Table:
    return Table(
        "roster",
        [
            Column("name", "Name", width=4.4),
            Column("number", "Number", width=1.5),
            Column("classification", "Classification", width=2.4),
            Column("status", "Status", width=1.6),
            Column("joined", "Joined", "date", 1.6),
            Column("town", "Town", width=2.6),
        ],
        map(_line, figures.roster),
        f"Roster, {today}",
    )


def _line(member: Member) -> Sequence[object]:
    name = f"{member.last}, {member.first} {member.middle}".rstrip()
    return name, member.number, label(member.classification), label(member.status), member.joined, member.town or None


def share(part: int, whole: int) -> Decimal | None:
    """Return the part as a share of one, which is rounded where it is shown; None of nothing."""
    return Decimal(part) / whole if whole else None
