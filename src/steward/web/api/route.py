"""A route of ours: in whatever application it stands, it explains its errors as we do, and reads its body itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from steward.errors import StewardError
from steward.web.api import query
from steward.web.api.dependencies import RouteContext
from steward.web.headers import log_unforeseen

UNREAD: Final[Any] = None
"""The default of a body that an endpoint declares, so that FastAPI describes it, and reads itself: see `UnreadBody`."""


def root(request: Request) -> str:
    """Return the path under which our routes stand, without a final slash: an application's own, and a prefix.

    No parameter in a path of ours holds a slash, so that its parts can be counted off the end.
    """
    path, mounted = str(request.scope["path"]), str(request.scope.get("root_path", "")).rstrip("/")
    route = request.scope.get("route")
    if route is None:
        return mounted
    whole = path if path.startswith(mounted) else mounted + path
    return whole.rsplit("/", route.path.count("/"))[0]


class UnreadBody(Request):
    """A request whose body FastAPI leaves alone; an endpoint that declares one reads it, see `read_json`.

    FastAPI would read before anybody was asked for a key, however long the body is, and take the last of two equal
    names in it.
    """

    async def body(self) -> bytes:
        """Return nothing: FastAPI finds no body, goes on to the dependencies, and hands on the body's default."""
        return b""


class Route(APIRoute):
    """The base; the routes of one installation are of a subclass that holds its `interface` (see `bound`)."""

    interface: ClassVar[RouteContext]

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.takes = query.declared(self.dependant)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request, errors included."""
        answer, interface = super().get_route_handler(), self.interface

        async def handle(request: Request) -> Response:
            interface.enter(request)
            number = ""
            try:
                response = await answer(UnreadBody(request.scope, request.receive))
            except ClientDisconnect:
                response = Response(status_code=400)
            except RequestValidationError as error:
                response = await interface.explain(request, query.refused(error), "")
            except StewardError as error:
                response = await interface.explain(request, error, "")
            except Exception as error:
                # The outermost layer of our own application does the same; and what a dependency of theirs raises is
                # theirs to explain.
                if not interface.guest or _is_foreseen(request, error):
                    raise
                number = log_unforeseen(request.scope, error)
                response = await interface.explain(request, error, number)
            return self._covered(response)

        return handle

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; in another's application also to a method that is not ours, for which it has words of its own."""
        methods = self.interface.methods
        if methods is not None and scope["method"] not in (self.methods or ()):
            refusal = await methods.answer(scope, scope["path"].removeprefix(root(Request(scope))))
            if refusal is not None:
                await self._covered(refusal)(scope, receive, send)
                return
        await super().handle(scope, receive, send)

    def _covered(self, response: Response) -> Response:
        for name, value in self.interface.headers.items():
            response.headers.setdefault(name, value)
        return response


def _is_foreseen(request: Request, error: Exception) -> bool:
    """Whether the application that we are a guest of has a handler for `error`."""
    handlers = request.scope.get("starlette.exception_handlers", ({}, {}))[0]
    return any(kind in handlers for kind in type(error).__mro__)


def bound(interface: RouteContext, kind: type[Route] = Route) -> type[Route]:
    """Return the class of the routes of one installation, of this `kind`."""
    return type(f"Installed{kind.__name__}", (kind,), {"interface": interface})


def add_heads(router: APIRouter) -> None:
    """Let HEAD work wherever GET does (RFC 9110, section 9.1)."""
    for route in [r for r in router.routes if isinstance(r, APIRoute) and r.methods == {"GET"}]:
        router.add_api_route(
            route.path,
            route.endpoint,
            methods=["HEAD"],
            response_class=route.response_class,
            response_model=route.response_model,
            include_in_schema=False,
            name=f"{route.name}_head",
        )
