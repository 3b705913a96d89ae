"""The pages that show tasks: the list, one task with its buttons and files, and the plugins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from fastapi import BackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steward.model.results import TaskResult
from steward.model.service import Page, Query
from steward.model.states import State
from steward.storage.tasks import search
from steward.web.access.keys import CHANGERS, SEERS, own
from steward.web.access.sessions import Session
from steward.web.api import downloads, openapi
from steward.web.pages import wording
from steward.web.pages.base import Fields, PageSite, leading
from steward.web.problems import KINDS, NoSuchPage
from steward.worker.engines.background import during

PER_PAGE = 30
REFRESH: dict[str, int] = {State.QUEUED: 4, State.RUNNING: 4, State.RETRYING: 30}
"""Seconds after which the page of a task in such a state is asked for again."""


def routes(site: PageSite) -> list[Route]:
    """Return the routes of these pages."""
    pages = TaskPages(site)
    return [
        Route("/", site.get(pages.tasks, *SEERS)),
        Route("/tasks/{task_id}", site.get(pages.task, *SEERS)),
        Route("/tasks/{task_id}/cancel", site.post(pages.cancel, *CHANGERS), methods=["POST"]),
        Route("/tasks/{task_id}/retry", site.post(pages.retry, *CHANGERS), methods=["POST"]),
        Route("/tasks/{task_id}/files/{n}", site.get(pages.file, "reports", "operate")),
        Route("/plugins", site.get(pages.plugins, "read", "operate")),
        Route("/problems/{kind}", pages.problem),
        Route("/static/{name}", site.static),
    ]


class TaskPages:
    """Draws the pages."""

    def __init__(self, site: PageSite) -> None:
        self._site, self._steward = site, site.steward

    def tasks(self, request: Request, session: Session) -> Response:
        """Return the list of tasks, filtered and paged."""
        given = request.query_params
        shown, name, text = given.get("show", ""), given.get("name", ""), given.get("q", "").strip()
        group = wording.group_of(shown)
        caller = session.caller
        whose = None if caller.operates else caller.id
        query = Query(
            states=[str(s) for s in group.states] if group else (),
            name=name or None,
            owner_id=whose,
            only=caller.only,
            cursor=given.get("cursor") or None,
            limit=PER_PAGE,
        )
        with self._steward.ledger.read() as connection:
            page = self._find(connection, query, text)
            counts = search.counts(connection, whose, caller.only)
        kept = {"show": shown if group else "", "name": name, "q": text}
        handlers = self._steward.registry.handlers
        return self._site.page(
            request,
            "tasks",
            session,
            title="Tasks",
            here="tasks",
            tasks=page.tasks,
            chips=_chips(kept, counts),
            kinds=[(h.name, h.title) for _, h in sorted(handlers.items()) if caller.knows(h.name)],
            titles={h.name: h.title for h in handlers.values()},
            kept=kept,
            filtered=any(kept.values()),
            total=sum(counts.values()),
            later=_address(kept, cursor=page.next_cursor) if page.next_cursor else "",
            first=_address(kept) if given.get("cursor") else "",
        )

    def task(self, request: Request, session: Session) -> Response:
        """Return one task with everything that is known of it."""
        task = self._theirs(request, session)
        with self._steward.ledger.read() as connection:
            history = search.history(connection, task.id)
        handler = self._steward.registry.handlers.get(task.name)
        return self._site.page(
            request,
            "task",
            session,
            title=handler.title if handler else wording.label(task.name),
            here="tasks",
            task=task,
            summary=handler.summary if handler else "",
            asked=wording.asked(task.payload, openapi.payload_schema(handler) if handler else None),
            history=history,
            refresh=REFRESH.get(task.state, 0),
            changes=not session.caller.scopes.isdisjoint(CHANGERS),
            downloads_allowed=not session.caller.scopes.isdisjoint(("reports", "operate")),
            uncertain=any(d.outcome == "uncertain" for d in task.deliveries),
        )

    def cancel(self, request: Request, session: Session, values: Fields) -> Response:
        """Cancel a task and show it."""
        task = self._steward.service.cancel(request.path_params["task_id"], caller=session.caller)
        return leading(request, f"/tasks/{task.id}")

    def retry(self, request: Request, session: Session, values: Fields) -> Response:
        """Try a task again and show it."""
        later = BackgroundTasks()
        with during(later):
            task = self._steward.service.retry(request.path_params["task_id"], caller=session.caller)
        return leading(request, f"/tasks/{task.id}", later)

    def file(self, request: Request, session: Session) -> Response:
        """Return a file of a task."""
        path = request.path_params
        return downloads.respond(self._steward, session.caller, path["task_id"], path["n"], request)

    def plugins(self, request: Request, session: Session) -> Response:
        """Return the cards of all plugins, the broken ones first."""
        registry = self._steward.registry
        cards = sorted((p.shown_to(session.caller) for p in registry.plugins), key=lambda p: (not p.error, p.name))
        return self._site.page(
            request,
            "plugins",
            session,
            title="Plugins",
            here="plugins",
            cards=[(plugin, [registry.handlers[name] for name in plugin.handlers]) for plugin in cards],
            askable={
                name for name, h in registry.handlers.items() if h.staff and session.caller.may_ask(name, h.scope)
            },
            broken=sum(bool(p.error) for p in cards),
        )

    async def problem(self, request: Request) -> Response:
        """Return what a kind of problem means: the page under its type's address. Anybody may read it."""
        kind = request.path_params["kind"]
        if kind not in KINDS:
            raise NoSuchPage("There is no such kind of problem", remedy="Check the address")
        meaning, advice = KINDS[kind]

        def draw() -> Response:
            session = self._site.session(request)
            return self._site.page(request, "problem_kind", session, title=meaning, kind=kind, advice=advice)

        return await run_in_threadpool(draw)

    def _theirs(self, request: Request, session: Session) -> TaskResult:
        return own(session.caller, self._steward.service.get_status(request.path_params["task_id"]))

    def _find(self, connection: Any, query: Query, text: str) -> Page:
        whole = "@" in text and " " not in text and "." in text.rpartition("@")[2]
        if whole:  # a whole address is also looked for among those that were written to
            found = search.find(connection, replace(query, recipient=text))
            if found.tasks:
                return found
        return search.find(connection, replace(query, text=text or None))


def _chips(kept: dict[str, str], counts: dict[str, int]) -> list[dict[str, Any]]:
    everything = {"title": "All", "count": sum(counts.values()), "address": _address(kept, show="")}
    chips = [everything | {"current": not kept["show"], "slug": "all"}]
    for group in wording.GROUPS:
        chips.append(
            {
                "title": group.title,
                "slug": group.slug,
                "count": sum(counts[s] for s in group.states),
                "address": _address(kept, show=group.slug),
                "current": kept["show"] == group.slug,
            }
        )
    return chips


def _address(kept: dict[str, str], **changes: str | None) -> str:
    query = urlencode({key: value for key, value in {**kept, **changes}.items() if value})
    return f"/?{query}" if query else "/"
