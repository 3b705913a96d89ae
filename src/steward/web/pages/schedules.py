"""The page that shows schedules: when each is next due, in words, with buttons to pause, resume, run and delete."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steward.model import cron as calendar
from steward.model import periods
from steward.model.declaration.handler import Handler, moving_days
from steward.storage.schedules import Firing
from steward.system.clock import micros, moment
from steward.tasks.schedules.occurrences import days_of
from steward.tasks.schedules.schedules import ScheduleStatus
from steward.web.access.keys import CHANGERS, SEERS
from steward.web.access.sessions import Session
from steward.web.api import openapi
from steward.web.pages import wording
from steward.web.pages.base import Fields, PageSite, leading

OUTCOMES: Final = {
    "fired": ("Done as planned", "good"),
    "missed": ("Missed: nothing was running then", "bad"),
    "by hand": ("Run by hand", "calm"),
    "refused": ("Not made: its owner may not ask for it any more", "bad"),
}

REPEATS: Final = (
    ("", "Only once, now", ""),
    ("week", "Every week, on Monday", "0 6 * * 1"),
    ("month", "Every month, on its first day", "0 6 1 * *"),
    ("quarter", "Every quarter, on its first day", "0 6 1 1,4,7,10 *"),
    ("year", "Every year, on January 1", "0 6 1 1 *"),
)
"""What the page of asking offers: the choice, its words, and its cron expression."""

ABOUT: Final = (
    ("", "The whole week, month, quarter or fiscal year before"),
    *(
        (kind, each[:1].upper() + each[1:])
        for kind in ("month", "quarter", "fiscal_year", "to_date", "as_given")
        for each in [periods.in_words(kind).partition(" (")[0]]
    ),
)
"""And which days each of them is about: the period (empty: what fits how often), and its words."""


def routes(site: PageSite) -> list[Route]:
    """Return the routes of schedules."""
    pages = SchedulePages(site)
    one = "/schedules/{schedule_id}"
    return [
        Route("/schedules", site.get(pages.show, *SEERS)),
        *(
            Route(f"{one}/{act}", site.post(getattr(pages, act), *CHANGERS), methods=["POST"])
            for act in ("pause", "resume", "run", "delete")
        ),
    ]


class SchedulePages:
    """Draws the list and does what its buttons say."""

    def __init__(self, site: PageSite) -> None:
        self._site, self._steward = site, site.steward

    def show(self, request: Request, session: Session) -> Response:
        """Return the list of schedules; without `operate` only one's own."""
        abilities = self._steward.service.abilities
        return self._site.page(
            request,
            "schedules",
            session,
            title="Schedules",
            here="schedules",
            schedules=[self._card(each) for each in self._steward.schedules.find(session.caller)],
            unable="" if abilities.schedules else abilities.why,
            changes=not session.caller.scopes.isdisjoint(CHANGERS),
            new=request.query_params.get("new", ""),
        )

    def pause(self, request: Request, session: Session, values: Fields) -> Response:
        """Let a schedule rest."""
        self._steward.schedules.pause(request.path_params["schedule_id"], caller=session.caller)
        return leading(request, "/schedules")

    def resume(self, request: Request, session: Session, values: Fields) -> Response:
        """Let a schedule go on."""
        self._steward.schedules.resume(request.path_params["schedule_id"], caller=session.caller)
        return leading(request, "/schedules")

    def run(self, request: Request, session: Session, values: Fields) -> Response:
        """Make its task now and show that."""
        task_id = self._steward.schedules.run(request.path_params["schedule_id"], caller=session.caller)
        return leading(request, f"/tasks/{task_id}")

    def delete(self, request: Request, session: Session, values: Fields) -> Response:
        """Delete a schedule."""
        self._steward.schedules.remove(request.path_params["schedule_id"], caller=session.caller)
        return leading(request, "/schedules")

    def _card(self, standing: ScheduleStatus) -> dict[str, Any]:
        entry = standing.entry
        handler = self._steward.registry.handlers.get(entry.name)
        said, tone = OUTCOMES.get(standing.last.outcome, (standing.last.outcome, "calm")) if standing.last else ("", "")
        return {
            "id": entry.id,
            "title": handler.title if handler else wording.label(entry.name),
            "summary": handler.summary if handler else "",
            "missing": handler is None,
            "rests": entry.paused_at is not None,
            "paused_at": moment(entry.paused_at),
            "paused_by": entry.paused_by,
            "words": standing.words[:1].upper() + standing.words[1:],
            "zone": entry.zone,
            "next": [local_tag(each) for each in standing.next],
            "owner": entry.owner,
            "origin": entry.origin,
            "asked": asked(standing, handler, self._steward.settings.fiscal_year_month),
            "ended": entry.ended or "",
            "ended_at": moment(entry.ended_at),
            "last": {"when": last_moment(standing.last), "words": said, "tone": tone, "task": standing.last.task_id}
            if standing.last
            else None,
        }


def asked(standing: ScheduleStatus, handler: Handler | None, fiscal_month: int = 1) -> list[tuple[str, str]]:
    """Return what each task is asked for. Days that move along are told as a period: those that were given are over."""
    payload, schema = standing.as_json()["payload"], openapi.payload_schema(handler) if handler else None
    moving = moving_days(handler.payload) if handler else {}
    pairs = wording.asked({name: value for name, value in payload.items() if name not in moving}, schema)
    if handler and moving:
        entry, coming, days = standing.entry, standing.next, standing.days
        if days is None and coming:
            first, last = days_of(entry, handler, micros(coming[0]), fiscal_month)
            days = (first, last) if first is not None and last is not None else None
        about = periods.in_words(entry.period or calendar.suggested(entry.cron), fiscal_month)
        pairs.insert(0, ("Period", wording.period(about, days)))
    return [(name, value) for name, value in pairs if value != "–"]


def last_moment(firing: Firing) -> datetime:
    """Return when a firing was due."""
    return moment(firing.due_at)


def local_tag(due: datetime) -> Markup:
    """Return a `<time>` element that says a time in the schedule's own zone: `Fri 1 Jan 2027, 06:00`."""
    shown = f"{due:%a} {due.day} {due:%b %Y}, {due:%H:%M}"
    return Markup('<time datetime="{}">{}</time>').format(due.isoformat(), shown)
