"""Draws the grants of the sample: budgets, who was paid for, and every expense to the cent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from steward.cli.sample.chance import SampleRandom
from steward.cli.sample.goods import GOODS, REMARKS, SOLE_VENDORS, VENDORS
from steward.cli.sample.plans import PLANS, SampleGrant
from steward.cli.sample.training import COHORTS, SampleStudent

CENT: Final = Decimal("0.01")
SALES_TAX: Final = Decimal("0.087")
"""What Washington vendors add."""
COST: Final = {
    "completed": 3_150,
    "placed": 3_150,
    "active": 2_400,
    "enrolled": 1_200,
    "dropped": 900,
    "withdrawn": 700,
}
"""Dollars paid for a student, by how the course ended."""
STANDING: Final = {"placed": "completed", "withdrawn": "dropped"}


class SampleMoney:
    """Grants and what hangs on them, as rows of the four tables of money."""

    def __init__(self, students: list[SampleStudent], cut_off: datetime) -> None:
        self._students, self._today = students, cut_off.date()

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of every table, by its name."""
        expenses = [self._expenses(plan) for plan in PLANS]
        spent = [sum((row[4] for row in bought), Decimal(0)) for bought in expenses]
        tables: dict[str, list[tuple[Any, ...]]] = {
            "grants": [_grant(n, plan, spent[n - 1]) for n, plan in enumerate(PLANS, 1)],
            "grant_budgets": [(n, *item) for n, item in enumerate(_budgets(), 1)],
            "grant_enrollments": [],
            "expenses": [],
        }
        for n, plan in enumerate(PLANS, 1):
            for row in self._enrolled(n, plan):
                tables["grant_enrollments"].append((len(tables["grant_enrollments"]) + 1, *row))
            for bought in expenses[n - 1]:
                tables["expenses"].append((len(tables["expenses"]) + 1, n, *bought))
        return tables

    def _expenses(self, plan: SampleGrant) -> list[tuple[Any, ...]]:
        """Return the plan's expenses from the item on, by the moment of the purchase."""
        chance = SampleRandom(f"expenses of {plan.number}")
        targets = {
            category: float(amount) * plan.pace * (1.85 if category == plan.heavy else chance.around(0.97, 0.2))
            for category, amount in plan.budget.items()
        }
        counts = _counts(targets, plan.expenses - sum(times for _, times in plan.strays))
        bought = [
            row for category, target in targets.items() for row in self._buy(chance, plan, category, target, counts)
        ]
        for category, times in plan.strays:
            bought += self._buy(chance, plan, category, 240.0 * times, {category: times})
        return sorted(bought, key=lambda row: (row[-1], row[0]))

    def _buy(
        self, chance: SampleRandom, plan: SampleGrant, category: str, target: float, counts: dict[str, int]
    ) -> Iterator[tuple[Any, ...]]:
        wishes = []
        for _ in range(counts[category]):
            item, usual, (few, many) = chance.one(GOODS[category])
            exact = usual if category in ("instruction", "travel") else usual * chance.around(1, 0.07)
            wishes.append((item, Decimal(str(exact)).quantize(CENT), chance.number(few, many)))
        drawn = sum(float(price) * number for _, price, number in wishes)
        for item, price, number in wishes:
            yield self._paid(chance, plan, category, item, price, Decimal(max(round(number * target / drawn), 1)))

    def _paid(
        self, chance: SampleRandom, plan: SampleGrant, category: str, item: str, price: Decimal, quantity: Decimal
    ) -> tuple[Any, ...]:
        vendor, taxed = chance.one(VENDORS[category])
        for beginning, sole in SOLE_VENDORS.items():
            if item.startswith(beginning):
                vendor, taxed = sole, False
        if vendor == "Instructor payroll":
            quantity += Decimal("0.5") if chance.happens(0.25) else Decimal(0)
        goods = (quantity * price).quantize(CENT, ROUND_HALF_UP)
        reduced = category not in ("instruction", "certifications") and chance.happens(0.16)
        discount = (goods * chance.number(2, 10) / 100).quantize(CENT, ROUND_HALF_UP) if reduced else Decimal("0.00")
        tax = ((goods - discount) * SALES_TAX).quantize(CENT, ROUND_HALF_UP) if taxed else Decimal("0.00")
        total = goods + tax - discount
        day = chance.day(plan.start + timedelta(days=4), min(plan.end, self._today) - timedelta(days=1))
        day -= timedelta(days=max(day.weekday() - 4, 0))  # nobody buys at the weekend
        return (
            item,
            chance.one(REMARKS) if chance.happens(0.22) else None,
            quantity,
            price,
            total,
            tax,
            discount,
            category,
            vendor,
            _payment(chance, category, total),
            None if chance.happens(0.045) else f"{_initials(vendor)}-{chance.number(100_000, 999_999)}",
            datetime.combine(day, time(8)) + timedelta(minutes=chance.number(0, 539)),
        )

    def _enrolled(self, grant: int, plan: SampleGrant) -> Iterator[tuple[Any, ...]]:
        chance = SampleRandom(f"students of {plan.number}")
        fitting = [s for s in self._students if s.status != "applicant" and self._within(plan, s)]
        for student in chance.some(fitting, min(plan.students, len(fitting))):
            begun = max(student.enrolled, plan.start)
            amount = Decimal(COST[student.status]) + Decimal(25 * chance.number(-6, 6))
            yield (
                grant,
                student.identity,
                begun,
                amount,
                STANDING.get(student.status, student.status),
                max(student.ended, begun) if student.ended else None,
                student.reason,
            )

    def _within(self, plan: SampleGrant, student: SampleStudent) -> bool:
        first: date = COHORTS[student.cohort - 1][1]
        return plan.start <= first <= min(plan.end, self._today)


def _grant(n: int, plan: SampleGrant, spent: Decimal) -> tuple[Any, ...]:
    return (
        n,
        plan.name,
        plan.number,
        plan.funder,
        sum(plan.budget.values(), Decimal(0)),
        spent,
        plan.start,
        plan.end,
        json.dumps(sorted(plan.budget)),
        plan.frequency,
        plan.next_due,
        plan.cap,
        plan.active,
        plan.notes,
    )


def _budgets() -> Iterator[tuple[Any, ...]]:
    for n, plan in enumerate(PLANS, 1):
        for category, amount in plan.budget.items():
            yield n, category, amount


def _counts(targets: dict[str, float], wanted: int) -> dict[str, int]:
    """Return how many expenses each category has, `wanted` in all, so that each is of a usual size."""
    usual = {}
    for category in targets:
        sizes = [price * (few + many) / 2 for _, price, (few, many) in GOODS[category]]
        usual[category] = targets[category] / (sum(sizes) / len(sizes))
    whole = sum(usual.values())
    counts = {category: max(round(wanted * share / whole), 2) for category, share in usual.items()}
    largest = max(counts, key=lambda category: counts[category])
    counts[largest] += wanted - sum(counts.values())
    return counts


def _payment(chance: SampleRandom, category: str, total: Decimal) -> str:
    if category == "instruction":
        return "ach"
    if total > 4_000:
        return chance.weighted({"wire": 1.0, "ach": 3.0, "check": 2.0})
    if total < 60:
        return chance.weighted({"cash": 2.0, "card": 5.0, "other": 0.4})
    return chance.weighted({"card": 6.0, "check": 3.0, "ach": 2.0, "grant": 0.4})


def _initials(vendor: str) -> str:
    return "".join(word[0] for word in vendor.replace("&", "").split() if word[0].isalpha())[:3].upper()
