"""Works out what was spent: by category against the budget, by month, and what is not in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from .reading import Expense, Records

CENT = Decimal("0.01")
NOTHING = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Line:
    """One category: what was planned, and what was spent before the period and in it."""

    category: str
    allowable: bool
    budget: Decimal
    before: Decimal
    spent: Decimal

    @property
    def to_date(self) -> Decimal:
        """What was spent from the grant's first day to the period's last."""
        return self.before + self.spent

    @property
    def left(self) -> Decimal:
        """What remains of the budget; negative when more was spent."""
        return self.budget - self.to_date

    @property
    def used(self) -> Decimal | None:
        """The share of the budget that was spent; None without a budget."""
        return self.to_date / self.budget if self.budget else None


@dataclass(frozen=True, slots=True)
class Month:
    """One month: its first day, its entries, what was spent before the period and in it, and all until its end."""

    first: date
    entries: int
    before: Decimal
    spent: Decimal
    to_date: Decimal


@dataclass(frozen=True, slots=True)
class Money:
    """Everything that the report says about money. Each figure is worked out here and nowhere else."""

    ledger: tuple[Expense, ...]
    lines: tuple[Line, ...]
    months: tuple[Month, ...]
    spent: Decimal
    before: Decimal
    budget: Decimal
    not_allowable: tuple[Expense, ...]
    without_receipt: tuple[Expense, ...]
    recorded: Decimal
    entered: Decimal
    last_entry: date | None

    @property
    def to_date(self) -> Decimal:
        """What was spent from the grant's first day to the period's last."""
        return self.before + self.spent

    @property
    def used(self) -> Decimal | None:
        """The share of the whole budget that was spent to date; None without a budget."""
        return self.to_date / self.budget if self.budget else None

    @property
    def overspent(self) -> tuple[Line, ...]:
        """Allowable categories on which more was spent than planned."""
        return tuple(line for line in self.lines if line.allowable and line.left < 0)


def money(records: Records, start: date, end: date) -> Money:
    """Return the figures of the expenses from `start` to `end`, both included."""
    earlier = [e for e in records.expenses if e.day < start]
    ledger = tuple(e for e in records.expenses if start <= e.day <= end)
    allowable = records.grant.allowable
    return Money(
        ledger=ledger,
        lines=_lines(records, earlier, ledger),
        months=_months(records.grant.start, start, end, [*earlier, *ledger]),
        spent=total(ledger),
        before=total(earlier),
        budget=sum(records.budget.values(), NOTHING),
        not_allowable=tuple(e for e in ledger if e.category not in allowable),
        without_receipt=tuple(e for e in ledger if not e.receipt),
        recorded=records.grant.spent,
        entered=total(records.expenses),
        last_entry=max((e.day for e in records.expenses), default=None),
    )


def total(expenses: Iterable[Expense]) -> Decimal:
    """Return the sum of their totals."""
    return sum((e.total for e in expenses), NOTHING)


def per_head(amount: Decimal, heads: int) -> Decimal | None:
    """Return the amount divided by the number of people, rounded half up to the cent; None without people."""
    return (amount / heads).quantize(CENT, ROUND_HALF_UP) if heads else None


def month_of(day: date) -> date:
    """Return the first day of its month."""
    return day.replace(day=1)


def month_after(day: date) -> date:
    """Return the first day of the next month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def months_between(start: date, end: date) -> list[date]:
    """Return the first day of every month from that of `start` to that of `end`."""
    found = [month_of(start)]
    while found[-1] < month_of(end):
        found.append(month_after(found[-1]))
    return found


def _lines(records: Records, earlier: Iterable[Expense], ledger: Iterable[Expense]) -> tuple[Line, ...]:
    """Return a line for each category, the allowable first, each part by the size of its budget."""
    before, spent = _by_category(earlier), _by_category(ledger)
    lines = [
        Line(
            category,
            category in records.grant.allowable,
            records.budget.get(category, NOTHING),
            before.get(category, NOTHING),
            spent.get(category, NOTHING),
        )
        for category in {*records.budget, *before, *spent}
    ]
    return tuple(sorted(lines, key=lambda line: (not line.allowable, -line.budget, line.category)))


def _by_category(expenses: Iterable[Expense]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for expense in expenses:
        found[expense.category] = found.get(expense.category, NOTHING) + expense.total
    return found


def _months(first: date, start: date, end: date, expenses: list[Expense]) -> tuple[Month, ...]:
    found = []
    to_date = NOTHING
    # An entry dated before the grant began is counted, and so needs its month.
    for month in months_between(min([first, *(e.day for e in expenses)]), end):
        own = [e for e in expenses if month_of(e.day) == month]
        before, spent = total(e for e in own if e.day < start), total(e for e in own if e.day >= start)
        to_date += before + spent
        found.append(Month(month, len(own), before, spent, to_date))
    return tuple(found)
