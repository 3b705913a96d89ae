"""Builds the web application from an installation: the interface, the pages, health, and how errors are told."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

import steward as package
from steward.errors import MissingScope, StewardError
from steward.storage.database.write_lock import PROMPT
from steward.web import health, performing, problems
from steward.web.access.keys import Doorkeeper
from steward.web.access.sessions import Session, Sessions
from steward.web.api import methods, openapi, query, schedules, submit
from steward.web.api import tasks as api_tasks
from steward.web.group_commit import Intake
from steward.web.headers import Envelope
from steward.web.pages import captured_mail, login, requests
from steward.web.pages import schedules as pages_schedules
from steward.web.pages import tasks as pages_tasks
from steward.web.pages.base import Site
from steward.worker.watchdog import watching

if TYPE_CHECKING:
    from steward.installation.container import Steward

log = logging.getLogger(__name__)


def _present(site: Site, request: Request) -> Session | None:
    """Return who is signed in, or None if the ledger cannot be asked: the page of an error must not fail for it."""
    try:
        return site.session(request)
    except StewardError:
        return None


def create(steward: Steward) -> FastAPI:
    """Return the application for one installation. Nothing is global: two may live in one process.

    Raises:
        ConfigurationError: the installation cannot be used as it is set up.
    """
    base = steward.settings.public_url
    _ = steward.letters  # a sender that cannot be used is refused before any task is taken
    steward.ledger.be_prompt(PROMPT)
    steward.service.ledger = intake = Intake(steward.ledger)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with watching(steward.slots_folder, steward.stores, "web", steward.end_frozen):
            intake.begin()
            end = await run_in_threadpool(performing.begin, steward)
            try:
                yield
            finally:
                await run_in_threadpool(end)
                intake.end()

    app = FastAPI(
        title="Steward",
        version=package.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    keeper = Doorkeeper(intake)
    site = Site(steward, keeper, Sessions(steward.seal, base))

    async def explain(request: Request, error: BaseException, instance: str = "") -> Response:
        if not isinstance(error, HTTPException) and problems.status_of(error) >= 500:
            log.error("%s %s: %s", request.method, request.url.path, problems.in_words(error).what)
        if not problems.wants_page(request):
            return problems.as_response(error, base, instance)
        try:
            return await run_in_threadpool(error_page, request, error, instance)
        except Exception as second:  # the page itself cannot be drawn: plain words are better than none
            log.error("the page of an error could not be drawn: %s", type(second).__name__)
            return problems.as_response(error, base, instance)

    def error_page(request: Request, error: BaseException, instance: str) -> Response:
        status, members, headers = problems.document(error, base, instance)
        said, session = problems.in_words(error), _present(site, request)
        if isinstance(said, MissingScope) and session is not None:
            instance = f"scope {said.scope.replace(' ', ' or ')}"
            said = problems.refusal(said, session.caller.name, session.caller.scopes)
        what = members["title"] if status == 405 else said.what.rstrip(".")
        words: dict[str, Any] = {
            "what": what,
            "why": problems.sentences(said.why),
            "remedy": problems.sentences(said.remedy),
            "instance": instance,
            "number": status,
        }
        page = site.page("error", session, title=what, status=status, **words)
        page.headers.update({name: value for name, value in headers.items() if name != "WWW-Authenticate"})
        return page

    for kind in (StewardError, HTTPException):
        app.add_exception_handler(kind, explain)
    app.add_exception_handler(ClientDisconnect, lambda request, error: Response(status_code=400))
    submit.add_routes(app, steward, keeper)
    api_tasks.add_routes(app, steward, keeper)
    schedules.add_routes(app, steward, keeper)
    app.router.routes.extend(health.routes(steward, keeper))
    for page in (login, pages_tasks, requests, pages_schedules, captured_mail):
        app.router.routes.extend(page.routes(site))

    async def describe(request: Request) -> Response:
        caller = await keeper.admit(request) if "authorization" in request.headers else None
        query.require_known(request, {})
        return api_tasks.as_json(openapi.describe(app, steward, caller))

    app.add_route("/openapi.json", describe)
    methods.add_heads(app)
    discreet = openapi.hidden(steward.registry.handlers, None)
    discreet |= {f"{name}_bulk" for name in discreet}
    app.add_middleware(methods.Methods, routes=app.router.routes, explain=explain, discreet=discreet)
    app.add_middleware(Envelope, explain=explain, secure=base.startswith("https:"))
    return app
