"""What FastAPI hands to the routes: the installation, who is asking, and an idempotency key.

Each route belongs to a router of one installation, which puts a `RouteContext` into the request. Dependencies are
awaited in the order in which they stand, before the parameters beside them are looked at, and the first that raises
ends the request: a key is asked for before an option is looked at, and an option before a body is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import Depends, Header
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from steward.installation.container import Steward
from steward.model.caller import Caller
from steward.model.declaration.handler import Handler
from steward.web.access.keys import CHANGERS, SEERS, Authenticator
from steward.web.api import query
from steward.web.api.methods import RouteMethods
from steward.web.headers import Explain

_KEY: Final = "steward.interface"


@dataclass(slots=True)
class RouteContext:
    """What the routes of one installation share.

    `guest`: they stand in somebody else's application, put `headers` on their answers themselves, and ask `methods`
    about a method that none of them is for.
    """

    steward: Steward
    keeper: Authenticator
    explain: Explain
    guest: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    methods: RouteMethods | None = None
    rooms: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    def enter(self, request: Request) -> None:
        """Put this into `request`, for the dependencies."""
        request.scope[_KEY] = self


def interface(request: Request) -> RouteContext:
    """Return the interface that `request` was made to."""
    found: RouteContext = request.scope[_KEY]
    return found


async def _installation(request: Request) -> Steward:
    return interface(request).steward


Installation = Annotated[Steward, Depends(_installation)]
"""The installation whose route it is."""


class RequiresScope(SecurityBase):
    """A dependency that admits whoever has any one of `scopes`, or with none named any key that is in use.

    As `Annotated[Caller, Depends(RequiresScope("read"))]` it gives who is asking. It stands before whatever else a
    route depends on. Raises as `Authenticator.admit`, and as `require_known` for the route's query parameters.
    """

    model = HTTPBearer()
    scheme_name = "key"

    def __init__(self, *scopes: str) -> None:
        self._scopes = scopes

    async def __call__(self, request: Request) -> Caller:
        """Return who is asking."""
        caller = await interface(request).keeper.admit(request, *self._scopes)
        query.require_known(request, request.scope["route"].takes)
        return caller


AnyCaller = Annotated[Caller, Depends(RequiresScope())]
Seer = Annotated[Caller, Depends(RequiresScope(*SEERS))]
Changer = Annotated[Caller, Depends(RequiresScope(*CHANGERS))]
Downloader = Annotated[Caller, Depends(RequiresScope("reports", "operate"))]
PluginSeer = Annotated[Caller, Depends(RequiresScope("read", "operate"))]


KeyHeader = Annotated[
    query.Key,
    Header(
        alias="Idempotency-Key",
        description="Your own: a repeat under it is answered with what it made, another request with 409.",
    ),
]
"""An idempotency key as it was sent; FastAPI takes the last of several (see `query.only_key`)."""


async def _idempotency_key(request: Request, key: KeyHeader = None) -> str | None:
    return query.only_key(request, key)


GivenIdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
"""The key under which a repeat does nothing twice, or None."""


class RequiresHandler(RequiresScope):
    """A dependency that admits whoever may ask for `handler`. Raises also as `Caller.require_ask`."""

    def __init__(self, handler: Handler) -> None:
        super().__init__()
        self._handler = handler

    async def __call__(self, request: Request) -> Caller:
        """Return who is asking."""
        caller = await super().__call__(request)
        caller.require_ask(self._handler.name, self._handler.scope)
        return caller
