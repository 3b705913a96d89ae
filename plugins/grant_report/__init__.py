"""Account for a grant to its funder: what was spent on what, who was served, and what came of it."""

from datetime import date

from steward import Calendar, Email, Handler, Report, Source, handler, hookimpl

from . import money, people, reading
from .request import GrantReport
from .rules import days, grant_of, look
from .statement import Standing, statement
from .tables import statement_table, tables
from .words import charts, key_facts, summary

EXAMPLE = GrantReport(
    grant="DOL-ABA-2025-0417",
    start=date(2025, 7, 1),
    end=date(2026, 9, 30),
    prepared_by="Grace Hopper, grants office",
)


@handler(example=EXAMPLE, lane="reports", scope="reports", check=look, span=days, time_limit=300)
def grant_report(request: GrantReport, source: Source, calendar: Calendar) -> list[Report | Email]:
    """Account for a grant to its funder, for a period.

    Budget against spending, people served, attendance, certifications and placements, with every expense. The
    figures of the tables, the charts, the text and the spreadsheets come from one computation. Of a period that is
    not over they go up to today, and the report says that it is provisional.
    """
    look(request, source, calendar)  # what was so when it was asked for may be otherwise when it is made
    grant, start = grant_of(request, source), request.start
    standing = Standing(request.end, calendar.today())
    records = reading.read(source, grant, standing.until)
    spending = money.money(records, start, standing.until)
    served = people.people(records, start, standing.until)
    stated = statement(request, standing, records, spending, served)
    report = Report(
        template="grant_report",
        context={
            "request": request,
            "standing": standing,
            "grant": grant,
            "money": spending,
            "people": served,
            "silent": reading.is_silent(source, grant, start, standing.until),
            "elapsed": people.share((standing.until - grant.start).days + 1, (grant.end - grant.start).days + 1),
            "statement": stated,
            **summary(grant, spending, served),
            **charts(spending, served),
        },
        tables=[*tables(spending, served, standing.at_its_end), statement_table(stated)],
        name=f"grant-report-{_file_name(grant.number)}-{start}-{request.end}{standing.mark('-')}",
        title=f"{grant.name}{standing.mark(', ')}",
        formats=request.formats,
    )
    letter = Email(
        to=request.recipients,
        template="report_letter",
        context={
            "report": f"Grant report: {grant.name}{standing.mark(', ')}",
            "period": standing.period(start),
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
