"""The routes of one installation as a FastAPI router, for our own application and for anybody's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import BaseRoute

from steward.installation.container import Steward
from steward.storage.database.write_lock import PROMPT
from steward.web import health, metrics
from steward.web.access.keys import Authenticator
from steward.web.access.sessions import Sessions
from steward.web.api import openapi, schedules, submit
from steward.web.api import tasks as api_tasks
from steward.web.api.dependencies import RouteContext
from steward.web.api.methods import RouteMethods
from steward.web.api.models.problems import problems
from steward.web.api.route import add_heads, bound
from steward.web.group_commit import GroupCommitLedger
from steward.web.headers import security_headers
from steward.web.pages import captured_mail, login, requests
from steward.web.pages import schedules as pages_schedules
from steward.web.pages import tasks as pages_tasks
from steward.web.pages.base import PageSite
from steward.worker.engines.background import BackgroundTaskService
from steward.worker.watchdog import watching

PAGES = (login, pages_tasks, requests, pages_schedules, captured_mail)


def router(steward: Steward, *, pages: bool = True) -> APIRouter:
    """Return the routes of an installation, for `app.include_router(router(steward), prefix="/notices")`.

    Beside the interface under `/v1` there are `/livez`, `/readyz` and `/metrics`, and with `pages` what people look at.
    What they need begins and ends with the application. Its error handlers are not touched: our routes answer with
    problem documents and security headers of ours. Its OpenAPI document describes what everybody may know of.

    Raises:
        ConfigurationError: the installation cannot be used as it is set up.
    """
    interface, site = opened(steward, guest=True)
    made = routes_of(interface, site if pages else None)
    interface.methods = methods_of(interface, made.routes)
    return made


def opened(steward: Steward, *, guest: bool = False) -> tuple[RouteContext, PageSite]:
    """Return what the routes of an installation share, and what its pages do; `guest`: in somebody else's application.

    From now on the installation writes as a web server does: promptly, and grouped while its lifespan lasts.
    Raises as `router`.
    """
    public = steward.settings.public_url
    _ = steward.letters  # a sender that cannot be used is refused before any task is taken
    steward.ledger.be_prompt(PROMPT)
    steward.service.ledger = intake = GroupCommitLedger(steward.ledger)
    # Where nobody has said under which address it is found, the path of the request must do (RFC 9457, section 3.1.1).
    base = None if guest and not steward.settings.base_url else public
    keeper = Authenticator(intake)
    site = PageSite(steward, keeper, Sessions(steward.seal, public), base)
    return RouteContext(steward, keeper, site.explain, guest, security_headers(public) if guest else {}), site


def routes_of(interface: RouteContext, site: PageSite | None) -> APIRouter:
    """Return the router with all routes of ours, the busiest first; without a `site` there are no pages."""
    steward = interface.steward
    handlers = steward.registry.handlers
    made = APIRouter(
        route_class=bound(interface),
        responses=problems(401, 422, 503),
        generate_unique_id_function=lambda route: route.name,  # what generators of clients call their methods by
        lifespan=partial(lifespan, interface),
    )
    hidden = openapi.hidden(handlers, None) if interface.guest else ()
    submit.add_routes(made, interface, hidden)
    api_tasks.add_routes(made)
    schedules.add_routes(made, handlers)
    plain = health.routes(steward, interface.keeper) + metrics.routes(steward)
    if site is not None:
        plain += [each for page in PAGES for each in page.routes(site)]
    for each in plain:
        made.add_api_route(
            each.path,
            each.endpoint,
            methods=sorted((each.methods or set()) - {"HEAD"}),
            response_class=Response,
            response_model=None,
            include_in_schema=False,
            name=f"steward_{each.name}",
        )
    add_heads(made)
    return made


def methods_of(interface: RouteContext, routes: Sequence[BaseRoute]) -> RouteMethods:
    """Return what knows which methods work at the addresses of `routes`."""
    discreet = openapi.hidden(interface.steward.registry.handlers, None)
    return RouteMethods(routes, interface.explain, discreet | {f"{name}_bulk" for name in discreet})


@asynccontextmanager
async def lifespan(interface: RouteContext, app: Any) -> AsyncIterator[None]:
    """Begin what the routes need, and end it: the watch over whoever holds the ledger, grouped writes, and tasks that
    are performed here, if any are.
    """
    steward, intake = interface.steward, interface.keeper.ledger
    with watching(steward.slots_folder, steward.stores, "web", steward.end_frozen):
        intake.begin()
        end = await run_in_threadpool(performing, steward)
        try:
            yield
        finally:
            await run_in_threadpool(end)
            intake.end()


def performing(steward: Steward) -> Callable[[], object]:
    """Make ready what performs tasks here, for the one engine that lives in the web process; return what ends it.

    What an earlier process left unfinished is marked as interrupted: it is never shown as done.
    """
    service = steward.service
    if not isinstance(service, BackgroundTaskService):
        return lambda: None
    from steward.worker.worker import Worker  # it loads the layout engine, which no other web process needs

    performer = Worker(steward, engine="background")
    service.use(performer.runner.perform)
    performer.start()
    service.interrupt_left_over()  # after the start, which queues what waited for a plugin that is back
    return performer.stop
