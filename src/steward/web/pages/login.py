"""The pages that sign people in and out: with a key, or with a one-time link."""

from __future__ import annotations

import logging

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from steward.model.caller import Caller
from steward.storage import access
from steward.web.access.throttle import LoginThrottle
from steward.web.api.body import read_form
from steward.web.api.route import root
from steward.web.group_commit import run_writing
from steward.web.pages.base import PageSite, leading
from steward.web.problems import NoSuchPage

log = logging.getLogger(__name__)


def routes(site: PageSite) -> list[Route]:
    """Return the routes of signing in and out."""
    entrance = LoginPages(site)
    return [
        Route("/sign-in", entrance.show, methods=["GET"]),
        Route("/sign-in", entrance.with_key, methods=["POST"]),
        Route("/sign-in/{token}", entrance.show_link, methods=["GET"]),
        Route("/sign-in/{token}", entrance.with_link, methods=["POST"]),
        Route("/sign-out", entrance.leave, methods=["POST"]),
    ]


class LoginPages:
    """Lets people in. Guessing is slowed down per address."""

    def __init__(self, site: PageSite) -> None:
        self._site, self._sessions, self._ledger = site, site.sessions, site.steward.ledger
        self._attempts = LoginThrottle()

    async def show(self, request: Request) -> Response:
        """Return the page that asks for a key; who is signed in goes where they wanted to."""
        wanted = request.query_params.get("next", "")
        if await run_in_threadpool(self._site.session, request) is not None:
            return RedirectResponse(local(wanted) or f"{root(request)}/", 303)
        return self._form(request, wanted)

    async def with_key(self, request: Request) -> Response:
        """Sign in with a key, and go where one wanted to."""
        values = await read_form(request)
        first = {name: given[0] for name, given in values.items()}
        self._sessions.check_form(request, first.get("form_token", ""), None)
        wanted = local(first.get("next", ""))
        with self._attempts.one(_address(request)) as attempt:
            caller = await self._site.keeper.holder_of(first.get("key", "").strip())
            if caller is None:
                attempt.fail()
        if caller is None:
            return self._form(request, wanted, "This key is not known. Copy the whole of it; it starts with stw_.", 422)
        return await run_writing(self._enter, request, caller, wanted)

    async def show_link(self, request: Request) -> Response:
        """Return a page with one button: mail scanners open links, and must not use this one up."""
        token = request.path_params["token"]

        def stands() -> bool:
            with self._ledger.read() as connection:
                return access.link_stands(connection, token)

        if not await run_in_threadpool(stands):
            raise _over()
        response = Response()
        form_token = self._sessions.first_form_token(request, response)
        page = self._site.page(request, "sign_in_link", None, title="Sign in", form_token=form_token)
        return _carry(response, page)

    async def with_link(self, request: Request) -> Response:
        """Use the link up and sign in."""
        values = await read_form(request)
        self._sessions.check_form(request, (values.get("form_token") or [""])[0], None)
        token = request.path_params["token"]
        with self._attempts.one(_address(request)) as attempt:
            caller = await run_writing(self._ledger.apply, lambda c: access.use_link(c, token))
            if caller is None:
                attempt.fail()
        if caller is None:
            raise _over()
        return await run_writing(self._enter, request, caller, "")

    async def leave(self, request: Request) -> Response:
        """Sign out, on the server too: a copy of the cookie is of no use any more."""
        session = await run_in_threadpool(self._site.session, request)
        if session is not None:
            values = await read_form(request)
            self._sessions.check_form(request, (values.get("form_token") or [""])[0], session)
            await run_writing(self._ledger.apply, lambda c: access.end_session(c, session.token))
        response = leading(request, "/sign-in")
        self._sessions.end(response)
        return response

    def _enter(self, request: Request, caller: Caller, wanted: str) -> Response:
        response = RedirectResponse(wanted or f"{root(request)}/", 303)
        token, until = self._sessions.open(response)
        self._ledger.apply(lambda c: access.open_session(c, caller, token, until))
        log.info("signed in: %s", caller.name)
        return response

    def _form(self, request: Request, wanted: str, error: str = "", status: int = 200) -> Response:
        response = Response()
        token = self._sessions.first_form_token(request, response)
        page = self._site.page(
            request,
            "sign_in",
            None,
            title="Sign in",
            form_token=token,
            wanted=local(wanted),
            error=error,
            status=status,
        )
        return _carry(response, page)


def local(wanted: str) -> str:
    """Return `wanted` if it is a path of this site, or nothing: no sign-in may lead elsewhere."""
    safe = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if safe else ""


def _carry(cookies: Response, page: Response) -> Response:
    page.raw_headers += [(name, value) for name, value in cookies.raw_headers if name == b"set-cookie"]
    return page


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _over() -> NoSuchPage:
    return NoSuchPage(
        "This sign-in link is not valid",
        "A link works once, for a quarter of an hour",
        "Ask for a new one, or sign in with a key",
    )
