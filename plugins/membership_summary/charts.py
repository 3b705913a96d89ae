"""Draws the charts' bars from the very rows that the tables show, and says each chart in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from steward import Table, percent


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart's macro takes: its rows, and the sentence for whoever does not see it."""

    rows: Sequence[tuple[Any, ...]]
    say: str


def charts(tables: Iterable[Table]) -> dict[str, Chart]:
    """Return a chart for every table that has one, by the table's name."""
    found = {}
    for table in tables:
        if table.name == "statuses":
            rows = list(table.rows)
            found[table.name] = Chart([(name, count, f"{count:,}") for name, count, _ in rows], _said(rows))
        elif table.name in ("apprentices", "ages"):
            rows = list(table.rows)
            found[table.name] = Chart(
                [(row[0], row[1], f"{row[1]:,}  ({percent(row[2])})") for row in rows], _said(rows)
            )
        elif table.name == "roll":
            rows = list(table.rows)
            found[table.name] = Chart([(str(day.year), 0, count, "") for day, count in rows], _said(rows))
        elif table.name == "movements":
            rows = list(table.rows)
            say = "; ".join(f"{row[0]}: {row[1]:,} joined, {row[2]:,} left" for row in rows)
            found[table.name] = Chart([(row[0], row[2], row[1]) for row in rows], f"{say}.")
    return found


def _said(rows: Iterable[Sequence[Any]]) -> str:
    return f"{', '.join(f'{row[0]} {row[1]:,}' for row in rows)}."
