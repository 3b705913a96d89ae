"""Says which methods work at an address: what `Allow` names (RFC 9110, section 10.2.1), and what OPTIONS is answered.

A router asks its routes one after another and tells those of the first; here all that share an address count.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from steward.web.headers import Explain


class RouteMethods:
    """Answers OPTIONS and refuses methods, before anybody is asked for a key.

    A route without parameters is the only one of its address: `/v1/tasks/welcome_email` is no task's. Those whose
    names are `discreet` are told like any address of their shape, so that nothing can be learnt from `Allow`.
    """

    def __init__(self, routes: Sequence[BaseRoute], explain: Explain, discreet: Collection[str] = ()) -> None:
        self._explain = explain
        self._plain: dict[str, set[str]] = {}
        self._shared: list[Route] = []
        for route in (r for r in routes if isinstance(r, Route)):
            if route.param_convertors or route.name in discreet:
                self._shared.append(route)
            else:
                self._plain.setdefault(route.path, set()).update(route.methods or ())

    async def answer(self, scope: Scope, path: str) -> Response | None:
        """Return the answer to OPTIONS and to what is not allowed at `path`.

        None for whatever has a route, and where there is no such address.
        """
        allowed = self.allowed(path)
        if not allowed or (scope["method"] in allowed and scope["method"] != "OPTIONS"):
            return None
        headers = {"Allow": ", ".join(sorted(allowed | {"OPTIONS"}))}
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers=headers)
        return await self._explain(Request(scope), HTTPException(405, headers=headers), "")

    def allowed(self, path: str) -> Set[str]:
        """Return the methods that work at `path`, but for OPTIONS; none if there is no such address."""
        found = self._plain.get(path)
        if found is None:
            scope = {"type": "http", "method": "GET", "path": path}
            matching = (route for route in self._shared if route.matches(scope)[0] is not Match.NONE)
            found = {method for route in matching for method in route.methods or ()}
        return found


class MethodMiddleware:
    """The layer of our own application that asks `RouteMethods` first; what passes has a route, or no address."""

    def __init__(self, app: ASGIApp, methods: RouteMethods) -> None:
        self._app, self._methods = app, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        response = None
        if scope["type"] == "http":
            response = await self._methods.answer(scope, scope["path"])
        await (response or self._app)(scope, receive, send)
