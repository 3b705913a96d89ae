"""Says which methods work at an address: what `Allow` names (RFC 9110, section 10.2.1), and what OPTIONS is answered.

A router asks its routes one after another and tells those of the first; here all that share an address count.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from steward.web.headers import Explain


def add_heads(app: FastAPI) -> None:
    """Let HEAD work wherever GET does (RFC 9110, section 9.1); Starlette's own routes have it already."""
    for route in [r for r in app.router.routes if isinstance(r, APIRoute) and r.methods == {"GET"}]:
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=["HEAD"],
            response_class=Response,
            openapi_extra=route.openapi_extra,
            include_in_schema=False,
        )


class Methods:
    """The layer that refuses methods, before anybody is asked for a key. What it lets through has a route.

    A route without parameters is the only one of its address: `/v1/tasks/welcome_email` is no task's. Those whose
    names are `discreet` are told like any address of their shape, so that nothing can be learnt from `Allow`.
    """

    def __init__(
        self, app: ASGIApp, routes: Sequence[BaseRoute], explain: Explain, discreet: Collection[str] = ()
    ) -> None:
        self._app, self._explain = app, explain
        self._plain: dict[str, set[str]] = {}
        self._shared: list[Route] = []
        for route in (r for r in routes if isinstance(r, Route)):
            if route.param_convertors or route.name in discreet:
                self._shared.append(route)
            else:
                self._plain.setdefault(route.path, set()).update(route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer OPTIONS and what is not allowed; hand on the rest, also what no route is for."""
        allowed = self.allowed(scope) if scope["type"] == "http" else ""
        if not allowed or (scope["method"] != "OPTIONS" and scope["method"] in allowed.split(", ")):
            await self._app(scope, receive, send)
            return
        headers = {"Allow": allowed}
        if scope["method"] == "OPTIONS":
            response = Response(status_code=204, headers=headers)
        else:
            response = await self._explain(Request(scope, receive), HTTPException(405, headers=headers), "")
        await response(scope, receive, send)

    def allowed(self, scope: Scope) -> str:
        """Return the methods that work at the address, as `Allow` has them; nothing if there is no such address."""
        found = self._plain.get(scope["path"])
        if found is None:
            matching = (route for route in self._shared if route.matches(scope)[0] is not Match.NONE)
            found = {method for route in matching for method in route.methods or ()}
        return ", ".join(sorted(found | {"OPTIONS"})) if found else ""
