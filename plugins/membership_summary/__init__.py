"""Tell how the membership stands, and who came and went in a period."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from steward import Calendar, Email, EmailAddress, Handler, Rejected, Report, Source, handler, hookimpl

from . import words
from .charts import charts
from .figures import FEWEST, Figures, figures
from .reading import extent, members
from .tables import statement_table, tables

PDF_ROWS = 4_200
"""The longest roster in a PDF. It must fit into the 512 MB of the renderer, and 4,200 rows took 483 (measured)."""

Status = Literal["active", "suspended", "inactive", "retired", "deceased"]
Format = Literal["pdf", "csv", "xlsx"]
EARLIEST, LATEST = date(1900, 1, 1), date(2100, 12, 31)


class MembershipSummary(BaseModel):
    """Which period, whose figures, and where the summary is to go."""

    start: date = Field(
        ge=EARLIEST,
        le=LATEST,
        title="First day",
        description="Joinings and departures count from this day.",
        json_schema_extra={"schedule_period": "first"},
    )
    end: date = Field(
        ge=EARLIEST,
        le=LATEST,
        title="Last day",
        description="They count up to this day. If it is still to come, the summary is provisional.",
        json_schema_extra={"schedule_period": "last"},
    )
    statuses: list[Status] = Field(
        default_factory=list, title="Only these statuses", description="Choose none to have all of them."
    )
    roster: bool = Field(
        False, title="With the roster", description="Every member with classification, status, joining day and town."
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
    even_if_empty: bool = Field(
        False, title="Even if there is nobody", description="A summary that says that nobody has these statuses."
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
    def goes_somewhere(self) -> "MembershipSummary":
        """Return the request if the summary would reach somebody."""
        if not self.archive and not self.recipients:
            raise ValueError("keep the summary here, or name somebody to send it to")
        return self


def look(request: MembershipSummary, source: Source, calendar: Calendar) -> None:
    """Refuse what cannot become a summary: a period of which nothing is known, nobody to count, a roster too long.

    Raises:
        Rejected: with what is wrong and the remedy, in words.
    """
    start, end = request.start, request.end
    found = extent(source, end, request.statuses)
    if found.latest is None:
        raise Rejected("There are no members to sum up", "The application's database holds none")
    if start > _known(found.latest, calendar):
        raise Rejected(
            f"Nothing is known yet of {words.period(start, end)}",
            f"The period lies ahead, and the newest entry is of {words.day(found.latest)}",
            "Choose an earlier period",
        )
    if not found.members and request.statuses and not request.even_if_empty:
        raise Rejected(
            f"No member has the status {words.chosen(tuple(request.statuses)).replace(' and ', ' or ')}",
            f"Nobody who had joined by {words.day(end)} is recorded so",
            "Choose other statuses, or none to have all; or have it made even if there is nobody",
        )
    # Who has no day of joining counts as always there, and would alone make up the figures before the first day.
    if (not found.members and not request.statuses) or (found.first is not None and end < found.first):
        first = f"The first member on record joined on {words.day(found.first)}" if found.first else ""
        raise Rejected(f"Nothing is known of {words.period(start, end)}", first, "Choose a later period")
    if request.roster and "pdf" in request.formats and found.members > PDF_ROWS:
        raise Rejected(
            f"A roster of {found.members:,} members is too long for a PDF",
            f"It can hold {PDF_ROWS:,}",
            "Ask for CSV or XLSX instead, choose fewer statuses, or leave the roster out",
        )


def _known(latest: date, calendar: Calendar) -> date:
    """Return the last day of which anything can be known: today, or that of the newest change if it is later."""
    return max(latest, calendar.today())


EXAMPLE = MembershipSummary(
    start=date(2026, 7, 1), end=date(2026, 9, 30), prepared_by="Katherine Johnson, membership office"
)


@handler(example=EXAMPLE, lane="reports", scope="reports", check=look, time_limit=300)
def membership_summary(request: MembershipSummary, source: Source, calendar: Calendar) -> list[Report | Email]:
    """Tell how the membership stands, and who came and went in a period.

    Counts by status, classification, age and town, apprentices by year, and on request the roster. The members are read
    once; the figures of the tables, the charts, the text and the spreadsheets come from one computation. Of a period
    that is not over they go up to today, and the summary says that it is provisional.
    """
    look(request, source, calendar)
    start, end, read = request.start, request.end, calendar.today()
    until = min(end, _known(extent(source, end, ()).latest or read, calendar))
    provisional = until < end or end == read
    found = figures(members(source), start, until, request.statuses)
    period = words.period(start, end) + (f", provisional: figures up to {words.day(until)}" if provisional else "")
    mark = ", provisional" if provisional else ""
    stated = words.statement(found, period, read)
    drawn = [*tables(found, read, roster=request.roster), statement_table(stated)]
    report = Report(
        template="membership_summary",
        context={
            "request": request,
            "figures": found,
            "period": period,
            "chosen": words.chosen(found.statuses),
            "charts": charts(drawn),
            "summary": words.summary(found, read),
            "statement": stated,
            "provisional": provisional,
            "read": read,
            "left": sum(found.left.values()),
            "learning": sum(every for every, _ in found.apprentices.values()),
            "fewest": FEWEST,
        },
        tables=drawn,
        name=f"membership-summary-{start}-{end}" + ("-provisional" if provisional else ""),
        title=f"Membership summary{mark}",
        formats=request.formats,
    )
    wishes: list[Report | Email] = [report] if request.archive else []
    if request.recipients:
        letter = {
            "report": f"Membership summary{mark}",
            "period": period,
            "facts": facts(found),
            "prepared_by": request.prepared_by or "The office",
        }
        wishes.append(Email(request.recipients, "report_letter", letter, attachments=[report]))
    return wishes


def facts(found: Figures) -> list[tuple[str, str]]:
    """Return what the letter says in short: names and values."""
    standing = ("Members", found.records.counted) if found.statuses else ("On the roll at the end", found.at_end)
    return [
        (standing[0], f"{standing[1]:,}"),
        ("Joined in the period", f"{found.joined:,}"),
        ("Left in the period", f"{sum(found.left.values()):,}"),
        ("Apprentices", f"{sum(every for every, _ in found.apprentices.values()):,}"),
    ]


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the one report."""
    return [membership_summary]
