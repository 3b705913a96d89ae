"""Puts the figures into the words of the charts and of the letter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from steward import money as dollars

from .money import Money, per_head, total
from .people import STANDINGS, People, share
from .reading import Grant
from .tables import month, title

MOST_MONTHS = 24
"""As many columns as can still be read."""


def in_words(day: date) -> str:
    """Return a day in words."""
    return f"{day.day} {day:%B %Y}"


def many(number: int, one: str, more: str) -> str:
    """Return a number with its noun: `1 entry`, `1,204 entries`."""
    return f"{number:,} {one if number == 1 else more}"


def key_facts(grant: Grant, money: Money, people: People) -> list[tuple[str, str]]:
    """Return the few figures that a reader of the letter wants first."""
    facts = [
        ("Grant number", grant.number),
        ("Budget", dollars(money.budget)),
        ("Spent in the period", dollars(money.spent)),
    ]
    if money.before:
        facts.append(("Spent to date", dollars(money.to_date)))
    if people.served:
        facts.append(("People served", f"{people.served:,}"))
    return facts


def summary(grant: Grant, money: Money, people: People) -> dict[str, Any]:
    """Return the figures that only the text gives."""
    return {
        "used": money.used,
        "names": {line.category: title(line.category) for line in money.lines},
        "allowable": ", ".join(sorted(title(category).lower() for category in grant.allowable)) or "nothing",
        "not_allowable": total(money.not_allowable),
        "without_receipt": total(money.without_receipt),
        "shares": {name: share(count, people.served) for name, count in people.standings.items()},
        "attendance_rate": share(people.attended, people.marks),
        "costs": [per_head(money.spent, n) for n in (people.served, people.placed.count)],
    }


def charts(money: Money, people: People) -> dict[str, Any]:
    """Return the rows of every chart, by its name, each beside the sentence that says what it shows."""
    lines = [(title(line.category), line.budget, line.to_date) for line in money.lines]
    months = [(f"{m.first:%b}", m.before, m.spent, str(m.first.year)) for m in money.months[-MOST_MONTHS:]]
    standing = [(name, count, f"{count:,}") for name, count in _standings(people)]
    hours = [(f"{m.name:%b}", 0, m.hours, f"{m.name:%Y}") for m in people.by_month[-MOST_MONTHS:]]
    return {
        "budget_chart": (lines, _say(f"{name}: {dollars(spent)} of {dollars(plan)}" for name, plan, spent in lines)),
        "months_chart": (months, _say(f"{month(m.first)}: {dollars(m.before + m.spent)}" for m in money.months)),
        "standing_chart": (standing, _say(f"{name}: {count}" for name, count, _ in standing)),
        "hours_chart": (hours, _say(f"{m.name:%B %Y}: {m.hours:,} hours" for m in people.by_month)),
        "certificates_chart": (
            [(name, earned, f"{earned:,}") for name, earned, _ in people.certificates],
            _say(f"{name}: {earned}" for name, earned, _ in people.certificates),
        ),
    }


def _standings(people: People) -> list[tuple[str, int]]:
    return [(STANDINGS[name], count) for name, count in people.standings.items() if count]


def _say(parts: Iterable[str]) -> str:
    return "; ".join(parts) + "."
