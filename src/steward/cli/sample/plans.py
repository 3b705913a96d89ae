"""The six grants of the sample: who gives what, for what, until when, and how the money was meant to be spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class SampleGrant:
    """One grant. `expenses` and `students` are how many there will be; `budget` is in dollars by category.

    `pace` is the share of the budget that is spent by the cut-off, nearly twice that in the category `heavy`; `strays`
    are categories that were bought although the funder does not allow them, each with how often.
    """

    name: str
    number: str
    funder: str
    start: date
    end: date
    frequency: str
    next_due: date | None
    cap: int | None
    active: bool
    budget: dict[str, Decimal]
    expenses: int
    students: int
    pace: float
    strays: tuple[tuple[str, int], ...] = ()
    heavy: str = ""
    notes: str | None = None


def _dollars(**amounts: int) -> dict[str, Decimal]:
    return {category: Decimal(amount) for category, amount in amounts.items()}


PLANS: Final[tuple[SampleGrant, ...]] = (
    SampleGrant(
        name="Apprenticeship Building America: Powering the Columbia Corridor",
        number="DOL-ABA-2025-0417",
        funder="U.S. Department of Labor",
        start=date(2025, 7, 1),
        end=date(2027, 6, 30),
        frequency="quarterly",
        next_due=date(2026, 10, 30),
        cap=180,
        active=True,
        budget=_dollars(
            instruction=402_000,
            equipment=138_500,
            tools=96_000,
            materials=74_000,
            safety=48_500,
            certifications=37_000,
            supplies=29_000,
        ),
        expenses=416,
        students=164,
        pace=0.57,
        strays=(("travel", 9),),
        heavy="supplies",
        notes="Federal award. Travel is paid from the local fund; the funder does not allow it.",
    ),
    SampleGrant(
        name="Future Ready Oregon: Pathways into the Electrical Trades",
        number="OR-FRO-25-118",
        funder="State of Oregon, Higher Education Coordinating Commission",
        start=date(2025, 1, 1),
        end=date(2026, 12, 31),
        frequency="quarterly",
        next_due=date(2026, 10, 15),
        cap=90,
        active=True,
        budget=_dollars(
            instruction=148_000, tools=42_500, materials=31_000, travel=18_000, safety=15_500, supplies=9_000
        ),
        expenses=118,
        students=78,
        pace=0.8,
        strays=(("equipment", 2),),
    ),
    SampleGrant(
        name="Women and Veterans in the Brotherhood",
        number="IBEW-INTL-2026-09",
        funder="IBEW International",
        start=date(2026, 1, 1),
        end=date(2026, 12, 31),
        frequency="annual",
        next_due=date(2027, 1, 31),
        cap=40,
        active=True,
        budget=_dollars(instruction=36_000, tools=19_500, travel=12_000, certifications=7_500),
        expenses=46,
        students=33,
        pace=0.6,
    ),
    SampleGrant(
        name="Instructor Development and Laboratory Renewal",
        number="NECA-TT-2025-022",
        funder="NECA Training Trust",
        start=date(2025, 4, 1),
        end=date(2027, 3, 31),
        frequency="annual",
        next_due=date(2027, 4, 30),
        cap=None,
        active=True,
        budget=_dollars(equipment=212_000, instruction=54_000, materials=33_000, travel=16_000),
        expenses=64,
        students=0,
        pace=0.66,
    ),
    SampleGrant(
        name="Tool Loans and Fees for First-Year Apprentices",
        number="LTF-2026-01",
        funder="Columbia River Electrical Training Fund",
        start=date(2026, 1, 1),
        end=date(2026, 12, 31),
        frequency="monthly",
        next_due=date(2026, 10, 10),
        cap=120,
        active=True,
        budget=_dollars(tools=58_000, certifications=22_000, supplies=12_500, travel=7_500),
        expenses=72,
        students=96,
        pace=0.7,
    ),
    SampleGrant(
        name="WIOA Youth Pre-Apprenticeship",
        number="WA-WIOA-23-0641",
        funder="State of Washington, Employment Security Department",
        start=date(2023, 7, 1),
        end=date(2025, 6, 30),
        frequency="monthly",
        next_due=None,
        cap=60,
        active=False,
        budget=_dollars(instruction=96_000, tools=24_000, safety=11_000, materials=14_000, supplies=5_000),
        expenses=58,
        students=57,
        pace=0.985,
        notes="Closed out on 15 September 2025.",
    ),
)
"""The first is the one that the demo reports on."""
