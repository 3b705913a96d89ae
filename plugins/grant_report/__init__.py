"""Account for a grant to its funder: what was spent on what, who was served, and what came of it."""

import difflib
from datetime import date
from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from steward import Email, EmailAddress, Handler, Rejected, Report, Source, handler, hookimpl

from . import money, people, reading
from .tables import tables
from .words import charts, in_words, key_facts, summary

Format = Literal["pdf", "csv", "xlsx"]
GRANTS = """
    SELECT grant_number AS value, grant_number || ' – ' || name AS label FROM grants
    ORDER BY is_active DESC, grant_number
"""


class GrantReport(BaseModel):
    """Which grant, which period, and where the report is to go."""

    grant: str = Field(
        min_length=1,
        max_length=40,
        title="Grant",
        description="The grant to account for.",
        json_schema_extra={"choices_query": GRANTS},
    )
    start: date = Field(
        title="First day", description="The first day of the period.", json_schema_extra={"schedule_period": "first"}
    )
    end: date = Field(
        title="Last day",
        description="The last day of the period; it is included.",
        json_schema_extra={"schedule_period": "last"},
    )
    prepared_by: str = Field(
        "", max_length=120, title="Prepared by", description="The name on the cover; left empty, the organization's."
    )
    recipients: list[EmailAddress] = Field(
        default_factory=list, max_length=50, title="Send it to", description="Their e-mail addresses."
    )
    archive: bool = Field(True, title="Keep it here", description="So that it can be downloaded again.")
    formats: list[Format] = Field(
        ["pdf"], min_length=1, title="Formats", description="The tables can be had as spreadsheets, too."
    )

    @field_validator("end")
    @classmethod
    def after_its_start(cls, value: date, info: ValidationInfo) -> date:
        """Return the last day if it does not lie before the first."""
        start = info.data.get("start")
        if start is not None and value < start:
            raise ValueError(f"the last day must not lie before the first, {start}")
        return value

    @model_validator(mode="after")
    def goes_somewhere(self) -> "GrantReport":
        """Return the request if the report would reach somebody."""
        if not self.archive and not self.recipients:
            raise ValueError("keep the report here, or name somebody to send it to")
        return self


def look(request: GrantReport, source: Source) -> None:
    """Refuse what cannot become a report: an unknown grant, days outside it, a period in which nothing was entered.

    Raises:
        Rejected: with what is wrong and the remedy, in words.
    """
    grant, start, end = _grant(request, source), request.start, request.end
    if start < grant.start or end > grant.end:
        raise Rejected(
            f"The period from {start} to {end} lies outside the grant {grant.number}",
            f"The grant runs from {grant.start} to {grant.end}",
            "Choose days within it",
        )
    if reading.is_silent(source, grant, start, end):
        span = reading.span(source, grant)
        raise Rejected(
            f"There is nothing to report on the grant {grant.number} from {start} to {end}",
            "No expense, no enrollment and no attendance was entered for this period",
            f"Choose a period in which there are entries: they run from {span[0]} to {span[1]}"
            if span
            else "Enter the grant's expenses or enrollments first",
        )


def _grant(request: GrantReport, source: Source) -> reading.Grant:
    grant = reading.find(source, request.grant)
    if grant is None:
        known = reading.numbers(source)
        near = difflib.get_close_matches(request.grant.upper(), known, 1, 0.4)
        raise Rejected(
            f"There is no grant '{request.grant}'",
            "" if known else "The application's database holds no grant at all",
            f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known[:20])}" if known else "",
        )
    return grant


EXAMPLE = GrantReport(
    grant="DOL-ABA-2025-0417",
    start=date(2025, 7, 1),
    end=date(2026, 9, 30),
    prepared_by="Grace Hopper, grants office",
)


@handler(example=EXAMPLE, lane="reports", scope="reports", check=look, time_limit=300)
def grant_report(request: GrantReport, source: Source) -> list[Report | Email]:
    """Account for a grant to its funder, for a period.

    Budget against spending, people served, attendance, certifications and placements, with every expense. The
    figures of the tables, the charts, the text and the spreadsheets come from one computation.
    """
    grant, start, end = _grant(request, source), request.start, request.end
    records = reading.read(source, grant, end)
    spending, served = money.money(records, start, end), people.people(records, start, end)
    report = Report(
        template="grant_report",
        context={
            "request": request,
            "grant": grant,
            "money": spending,
            "people": served,
            "elapsed": people.share((end - grant.start).days + 1, (grant.end - grant.start).days + 1),
            **summary(grant, spending, served),
            **charts(spending, served),
        },
        tables=tables(spending, served),
        name=f"grant-report-{_file_name(grant.number)}-{start}-{end}",
        title=grant.name,
        formats=request.formats,
    )
    letter = Email(
        to=request.recipients,
        template="report_letter",
        context={
            "report": f"Grant report: {grant.name}",
            "period": f"{in_words(start)} to {in_words(end)}",
            "prepared_by": request.prepared_by or "The office",
            "facts": key_facts(grant, spending, served),
        },
        attachments=[report],
    )
    return [*([report] if request.archive else ()), *([letter] if request.recipients else ())]


def _file_name(number: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in number).strip("-").lower() or "grant"


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the one report."""
    return [grant_report]
