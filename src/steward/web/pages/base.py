"""What every page shares: who is signed in, how a page is drawn, and where the style comes from."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from steward.errors import MissingScope, StewardError
from steward.model import figures
from steward.model.caller import Caller
from steward.model.cron import find_zone
from steward.web import problems
from steward.web.access.keys import SEERS, Authenticator, require
from steward.web.access.sessions import Session, Sessions
from steward.web.api.body import read_form
from steward.web.api.route import root
from steward.web.pages import wording
from steward.web.problems import NoSuchPage
from steward.worker.conditions import Condition, conditions

if TYPE_CHECKING:
    from steward.installation.container import Steward

log = logging.getLogger(__name__)

Fields = Mapping[str, Sequence[str]]
Draw = Callable[[Request, Session], Response]
Act = Callable[[Request, Session, Fields], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

CONDITIONS_FOR = 2.0
"""Seconds for which what stands in the way is not asked for again, however many pages are drawn."""

SENDERS = ("send", "reports")
_STATIC = re.compile(r"[a-z-]{1,40}\.(css|svg)")
_MEDIA_TYPES = {"css": "text/css", "svg": "image/svg+xml"}
_SPEECH = {
    name: getattr(wording, name)
    for name in (
        "headline",
        "tone",
        "whom",
        "outcome_words",
        "reply_words",
        "attempt_words",
        "may_cancel",
        "may_retry",
        "time_tag",
        "span",
        "file_size",
        "label",
    )
} | {"figure_words": figures.in_words}


def sees_outbox(caller: Caller) -> bool:
    """Whether everybody's letters are theirs to see: an operator's, whose key is not limited to some tasks."""
    return caller.operates and caller.only is None


def leading(request: Request, path: str, later: BackgroundTask | None = None) -> RedirectResponse:
    """Return what leads a browser to a page of ours, after which `later` is done."""
    return RedirectResponse(f"{root(request)}{path}", 303, background=later)


class PageSite:
    """Wraps what pages do: `get` for looking, `post` for acting; both turn strangers to the sign-in page."""

    def __init__(self, steward: Steward, keeper: Authenticator, sessions: Sessions, base: str | None) -> None:
        self.steward, self.keeper, self.sessions, self._base = steward, keeper, sessions, base
        zone = find_zone(steward.settings.time_zone)
        timed = {name: partial(_SPEECH[name], zone=zone) for name in ("headline", "time_tag")}
        self._speech = {**_SPEECH, **timed}
        self._seen: tuple[float, list[Condition]] = (-CONDITIONS_FOR, [])

    def get(self, draw: Draw, *scopes: str) -> Endpoint:
        """Return an endpoint that draws a page for whoever is signed in and has any of `scopes`."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._admit, request, scopes, lambda session: draw(request, session))

        return endpoint

    def post(self, act: Act, *scopes: str) -> Endpoint:
        """Return an endpoint that acts on a form of ours. The form's token is checked before anything else."""

        async def endpoint(request: Request) -> Response:
            if self.sessions.read(request) is None:
                return self.to_sign_in(request)
            values = await read_form(request)

            def acted(session: Session) -> Response:
                self.sessions.check_form(request, (values.get("form_token") or [""])[0], session)
                require(session.caller, *scopes)
                return act(request, session, values)

            return await run_in_threadpool(self._admit, request, (), acted)

        return endpoint

    def to_sign_in(self, request: Request) -> Response:
        """Return the way to the sign-in page, and back here afterwards."""
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        is_start = wanted == f"{root(request)}/"
        way_back = "" if request.method != "GET" or is_start else f"?next={quote(wanted, safe='/')}"
        return leading(request, f"/sign-in{way_back}")

    def page(
        self,
        request: Request,
        name: str,
        session: Session | None,
        *,
        title: str,
        here: str = "",
        status: int = 200,
        **context: Any,
    ) -> Response:
        """Return the page `pages/<name>.html.j2`. `here` names the entry of the menu that it belongs to."""
        settings = self.steward.settings
        scopes = session.caller.scopes if session else frozenset()
        common = {
            "title": title,
            "root": root(request),
            "here": here,
            "organization": settings.organization,
            "captures_mail": settings.captures_mail,
            "who": session.caller.name if session else "",
            "form_token": self.sessions.form_token(session) if session else "",
            "may_ask": not scopes.isdisjoint(SENDERS),
            "sees_tasks": not scopes.isdisjoint(SEERS),
            "sees_plugins": not scopes.isdisjoint(("read", "operate")),
            "sees_outbox": session is not None and sees_outbox(session.caller) and settings.captures_mail,
            "zone": settings.time_zone,
            "style": self.style,
            "refresh": 0,
            "operates": "operate" in scopes,
            "conditions": self._conditions() if session else [],
        }
        return HTMLResponse(
            self.steward.templates.render(f"pages/{name}.html.j2", {**common, **self._speech, **context}), status
        )

    async def explain(self, request: Request, error: BaseException, instance: str = "") -> Response:
        """Return what is answered for `error`: a page to whoever looks at one, and else a problem document."""
        if not isinstance(error, HTTPException) and problems.status_of(error) >= 500:
            log.error("%s %s: %s", request.method, request.url.path, problems.in_words(error).what)
        base = root(request) if self._base is None else self._base
        if not problems.wants_page(request, root(request)):
            return problems.as_response(error, base, instance)
        try:
            return await run_in_threadpool(self._error_page, request, error, base, instance)
        except Exception as second:  # the page itself cannot be drawn: plain words are better than none
            log.error("the page of an error could not be drawn: %s", type(second).__name__)
            return problems.as_response(error, base, instance)

    def _error_page(self, request: Request, error: BaseException, base: str, instance: str) -> Response:
        status, members, headers = problems.document(error, base, instance)
        said, session = problems.in_words(error), self._present(request)
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
        page = self.page(request, "error", session, title=what, status=status, **words)
        page.headers.update({name: value for name, value in headers.items() if name != "WWW-Authenticate"})
        return page

    def _present(self, request: Request) -> Session | None:
        """Return who is signed in, or None if the ledger cannot be asked: the page of an error must not fail for it."""
        try:
            return self.session(request)
        except StewardError:
            return None

    @cached_property
    def style(self) -> str:
        """The style sheet's address; it changes with its content, so that browsers may keep it for ever."""
        path = self._static("style.css")
        return f"/static/style.css?v={hashlib.sha256(path.read_bytes()).hexdigest()[:12]}" if path else ""

    async def static(self, request: Request) -> Response:
        """Return a file of `pages/static`; an installation's own before the shipped one."""
        name = request.path_params["name"]
        path = self._static(name)
        if path is None:
            raise NoSuchPage("Nothing is found under this address", remedy="Check the address")
        lasting = "public, max-age=31536000, immutable" if request.url.query else "public, max-age=3600"
        content = await run_in_threadpool(path.read_bytes)
        headers = {"Cache-Control": lasting}
        return Response(content, 200, headers, _MEDIA_TYPES[name.rpartition(".")[2]])

    def _conditions(self) -> list[Condition]:
        """Return what stands in the way, asked at most once in `CONDITIONS_FOR` seconds for all who look."""
        seen, found = self._seen
        if time.monotonic() - seen > CONDITIONS_FOR:
            found = conditions(self.steward)
            self._seen = (time.monotonic(), found)
        return found

    def _static(self, name: str) -> Path | None:
        if not _STATIC.fullmatch(name):
            return None
        found = (d / "pages" / "static" / name for d in self.steward.templates.directories)
        return next((path for path in found if path.is_file()), None)

    def session(self, request: Request) -> Session | None:
        """Return who is signed in, with the scopes of this moment; None if nobody is. It asks the ledger."""
        token = self.sessions.read(request)
        caller = None if token is None else self.keeper.signed_in(token)
        return None if token is None or caller is None else Session(caller, token)

    def _admit(self, request: Request, scopes: Sequence[str], answer: Callable[[Session], Response]) -> Response:
        session = self.session(request)
        if session is None:
            response = self.to_sign_in(request)
            self.sessions.end(response)
            return response
        require(session.caller, *scopes)
        return answer(session)
