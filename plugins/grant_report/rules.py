"""What can be reported on: a grant that there is, days within it that have come, and something that was entered."""

import difflib
from datetime import date

from steward import Calendar, Rejected, Source

from . import reading
from .request import GrantReport


def look(request: GrantReport, source: Source, calendar: Calendar) -> None:
    """Refuse what cannot become a report: an unknown grant, days outside it or still to come, nothing entered.

    Raises:
        Rejected: with what is wrong and the remedy, in words.
    """
    grant, start, end = grant_of(request, source), request.start, request.end
    if start < grant.start or end > grant.end:
        raise Rejected(
            f"The period from {start} to {end} lies outside the grant {grant.number}",
            f"The grant runs from {grant.start} to {grant.end}",
            "Choose days within it",
        )
    ahead = start > calendar.today()
    if (ahead or not request.even_if_empty) and reading.is_silent(source, grant, start, end):
        span = reading.span(source, grant)
        raise Rejected(
            f"There is nothing to report on the grant {grant.number} from {start} to {end}",
            "No expense, no enrollment and no attendance was entered for this period",
            (
                f"Choose a period in which there are entries: they run from {span[0]} to {span[1]}"
                if span
                else "Enter the grant's expenses or enrollments first"
            )
            + ("" if ahead else "; or have it made even if nothing was entered"),
        )
    if ahead:
        raise Rejected(
            f"Nothing can be known yet of the period from {start} to {end}",
            f"Today is {calendar.today()}",
            "Choose a period that has begun",
        )


def days(request: GrantReport, source: Source) -> tuple[date, date]:
    """Return the first and the last day of the grant: a schedule's periods are cut to them, and it ends with them."""
    grant = grant_of(request, source)
    return grant.start, grant.end


def grant_of(request: GrantReport, source: Source) -> reading.Grant:
    """Return the grant that is asked for.

    Raises:
        Rejected: there is none of this number; the words name the nearest.
    """
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
