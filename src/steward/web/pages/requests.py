"""The pages on which staff ask for a report: the list of what there is, and a form for each."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from fastapi import BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steward.errors import FieldProblem, InvalidPayload, InvalidRequest, KeyConflict, SourceUnavailable, StateConflict
from steward.model.caller import Caller
from steward.model.cron import find_zone
from steward.model.declaration.handler import Handler
from steward.model.service import Options
from steward.tasks.payloads import validated
from steward.tasks.schedules.occurrences import moves_along
from steward.web.access.sessions import Session
from steward.web.api import openapi
from steward.web.pages import forms
from steward.web.pages.base import SENDERS, Fields, PageSite, leading
from steward.web.pages.schedules import ABOUT, REPEATS
from steward.web.problems import NoSuchPage
from steward.worker.engines.background import during

MOST_CHOICES = 1000


def routes(site: PageSite) -> list[Route]:
    """Return the routes of asking."""
    asking = RequestPages(site)
    return [
        Route("/ask", site.get(asking.kinds, *SENDERS)),
        Route("/ask/{name}", site.get(asking.form, *SENDERS), methods=["GET"]),
        Route("/ask/{name}", site.post(asking.ask, *SENDERS), methods=["POST"]),
    ]


class RequestPages:
    """Draws the forms from the payloads' schemas and hands over what was filled in."""

    def __init__(self, site: PageSite) -> None:
        self._site, self._steward = site, site.steward

    def kinds(self, request: Request, session: Session) -> Response:
        """Return the list of what may be asked for."""
        known = sorted(self._steward.registry.handlers.items())
        theirs = [h for name, h in known if h.staff and session.caller.may_ask(name, h.scope)]
        return self._site.page(request, "ask", session, title="Ask for a report", here="ask", handlers=theirs)

    def form(self, request: Request, session: Session) -> Response:
        """Return the empty form of one kind."""
        handler = self._handler(request, session)
        return self._draw(request, session, handler, self._fields(handler))

    def ask(self, request: Request, session: Session, values: Fields) -> Response:
        """Hand the request over and show its task; or the form again, with what is wrong beside each field."""
        handler = self._handler(request, session)
        drawn = self._fields(handler)
        payload, problems = forms.payload(drawn, values, find_zone(self._steward.settings.time_zone))
        ticket = (values.get("ticket") or [""])[0][:64]
        words: list[str] = []
        about = (values.get("about") or [""])[0]
        how_often = next((c for value, _, c in REPEATS if c and value == (values.get("how_often") or [""])[0]), "")
        if problems:
            problems += _further(handler, payload, {p.field for p in problems})
        else:
            later = BackgroundTasks()
            try:
                if how_often:
                    return self._repeat(request, handler, payload, how_often, about, ticket, session)
                with during(later):
                    task_id = self._hand_over(handler, payload, ticket, session.caller)
                return leading(request, f"/tasks/{task_id}", later)
            except InvalidPayload as error:
                problems = list(error.problems)
            except (InvalidRequest, StateConflict) as error:  # what was filled in stands
                words = [str(error)]
        kept = forms.filled(drawn, values, problems)
        chosen = (values.get("how_often") or [""])[0]
        return self._draw(request, session, handler, kept, words + forms.elsewhere(drawn, problems), 422, chosen, about)

    def _repeat(
        self,
        request: Request,
        handler: Handler,
        payload: dict[str, Any],
        cron: str,
        about: str,
        ticket: str,
        session: Session,
    ) -> Response:
        """Keep it as a schedule and show that; a second press of the button finds the first one's."""
        period = about if moves_along(handler) else ""
        make = partial(self._steward.schedules.make, handler, payload, cron, period=period, caller=session.caller)
        try:
            made = make(key=f"form:{ticket}" if ticket.isalnum() else None)
        except KeyConflict:  # as below
            made = make()
        return leading(request, f"/schedules?new={made.entry.id}#s-{made.entry.id}")

    def _hand_over(self, handler: Handler, payload: dict[str, Any], ticket: str, caller: Caller) -> str:
        submit = self._steward.service.submit
        try:
            # The form's ticket is the key: a second press of the button is the same request.
            key = f"form:{ticket}" if ticket.isalnum() else None
            return submit(handler, payload, Options(key=key, caller=caller)).id
        except KeyConflict:
            # Sent, gone back to, changed and sent again: a new request.
            return submit(handler, payload, Options(caller=caller)).id

    def _handler(self, request: Request, session: Session) -> Handler:
        handler = self._steward.registry.handlers.get(request.path_params["name"])
        if handler is None or not handler.staff:
            raise NoSuchPage("There is no such report to ask for", remedy="Choose one from the list")
        session.caller.require_ask(handler.name, handler.scope)
        return handler

    def _fields(self, handler: Handler) -> list[forms.FormField]:
        schema: dict[str, Any] = handler.payload.model_json_schema(by_alias=True)
        return forms.fields(schema | {"example": openapi.example(handler)}, self._choices)

    def _choices(self, statement: str) -> list[tuple[str, str]] | None:
        source = self._steward.source
        if source is None:
            return None
        try:
            found = []
            for row in source.rows(statement):
                found.append((str(row["value"]), str(row.get("label", row["value"]))))
                if len(found) >= MOST_CHOICES:
                    break
            return found
        except (SourceUnavailable, KeyError):
            return None

    def _draw(
        self,
        request: Request,
        session: Session,
        handler: Handler,
        drawn: list[forms.FormField],
        words: list[str] | None = None,
        status: int = 200,
        how_often: str = "",
        about: str = "",
    ) -> Response:
        return self._site.page(
            request,
            "ask_one",
            session,
            title=handler.title,
            here="ask",
            status=status,
            handler=handler,
            fields=drawn,
            words=words or [],
            wrong=sum(bool(f.error) for f in drawn) + len(words or []),
            ticket=secrets.token_hex(16),
            repeats=REPEATS if self._steward.service.abilities.schedules else (),
            how_often=how_often,
            abouts=ABOUT if moves_along(handler) else (),
            about=about,
        )


def _further(handler: Handler, payload: dict[str, Any], known: set[str]) -> list[FieldProblem]:
    """Return what else is wrong, so that everything is said at once."""
    try:
        validated(handler, payload)
    except InvalidPayload as error:
        return [p for p in error.problems if p.field not in known]
    return []
