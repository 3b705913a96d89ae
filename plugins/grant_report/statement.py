"""States how far the figures go and how they were arrived at, for the last section and for the spreadsheets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from steward import money as dollars

from .money import Money
from .people import People
from .reading import Records
from .request import GrantReport
from .words import in_words, many


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the figures of a period that ends on `end` can go when they are read on the day `read`."""

    end: date
    read: date

    @property
    def until(self) -> date:
        """The last day that the figures are about."""
        return min(self.end, self.read)

    @property
    def provisional(self) -> bool:
        """Whether the period is not over: its last day is today or still to come."""
        return self.end >= self.read

    def mark(self, before: str) -> str:
        """Return `before` and "provisional" if the period is not over, else nothing."""
        return f"{before}provisional" if self.provisional else ""

    def period(self, start: date) -> str:
        """Return the period from `start` in words, and how far the figures go if it is not over."""
        said = f"{in_words(start)} to {in_words(self.end)}"
        return f"{said}, provisional: figures up to {in_words(self.until)}" if self.provisional else said

    @property
    def at_its_end(self) -> str:
        """The moment for which standings are told: `at the end of the period`, or the day that the figures go up to."""
        return f"on {in_words(self.until)}" if self.provisional else "at the end of the period"

    @property
    def cut_off(self) -> str:
        """Until when the figures go, and when the records were read."""
        read = f"as on record on {in_words(self.read)}"
        if self.provisional:
            return f"{read}, before the period is over"
        return f"at the end of {in_words(self.end)}, {read}"


def statement(
    request: GrantReport, standing: Standing, records: Records, money: Money, people: People
) -> list[tuple[str, str]]:
    """Return how the figures were arrived at: names and explanations."""
    grant, covered = records.grant, f"{in_words(request.start)} to {in_words(standing.until)}"
    later = [e for e in records.expenses if standing.until < e.day <= request.end]
    rows = [
        ("Period", standing.period(request.start)),
        (
            "Cut off",
            f"{standing.cut_off}; what was entered later for days before is included if it was on record then",
        ),
    ]
    if standing.provisional:
        left_out = f"; {many(len(later), 'expense', 'expenses')} dated later in it left out" if later else ""
        rows.append(("Standing", f"provisional: the period is over after {in_words(request.end)}{left_out}"))
    return [
        *rows,
        (
            "As on record then",
            (
                "the budget and what it allows, the people's statements about themselves, the standing of whoever had "
                "not left, and follow-ups are those of that day, whatever they were in the period"
            ),
        ),
        (
            "Expenses",
            (
                f"{many(len(money.ledger), 'entry', 'entries')} of the grant with a purchase date from {covered}, both "
                f"days included; {dollars(money.spent)} in all"
            ),
        ),
        ("Spent before the period", dollars(money.before)),
        ("Latest expense on record", in_words(money.last_entry) if money.last_entry else "–"),
        (
            "Agreement with the grant's record",
            (
                f"The grant records {dollars(grant.spent)} as spent; the sum of all its entries, whatever their date, "
                f"is {dollars(money.entered)}{_agreement(grant.spent - money.entered)}"
            ),
        ),
        (
            "Agreement with the award",
            (
                f"The grant was awarded with {dollars(grant.amount)}; the budget by category adds up to "
                f"{dollars(money.budget)}{_agreement(grant.amount - money.budget)}"
            ),
        ),
        (
            "People served",
            (
                f"{many(people.served, 'person', 'people')} enrolled in the grant on a day of the period; applicants "
                "are not counted"
            ),
        ),
        (
            "Attendance",
            (
                f"{many(people.marks, 'record', 'records')} of people of the grant in the period, from the day of "
                "their enrollment on"
            ),
        ),
        (
            "Certifications, placements",
            (
                f"{people.certificates_earned:,} and {people.placed.count:,}, dated in the period and after the person "
                "was enrolled"
            ),
        ),
        (
            "Rates",
            (
                "of all people served, unless said otherwise; percentages are rounded to one decimal and may not add "
                "up to 100"
            ),
        ),
        ("Averages and costs", "rounded half up to the cent; all other amounts are exact"),
        (
            "Small groups",
            "groups of fewer than five people are not shown in the demographics, nor what would give them away",
        ),
    ]


def _agreement(difference: Decimal) -> str:
    return f": the difference is {dollars(difference)}" if difference else ": they agree"
