"""What FastAPI hands to the routes: the installation, who is asking, the options of a task, and its body as we read it.

Each route belongs to a router of one installation, which puts a `RouteContext` into the request. Dependencies are
awaited in the order in which they stand, and the first that raises ends the request: a key is asked for before an
option is looked at, and an option before a body is read.
"""

# No postponed annotations here: they are evaluated in the module, and would not find what a closure holds.

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import Body, Depends, Header, Query
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from steward.installation.container import Steward
from steward.model.caller import Caller
from steward.model.declaration.handler import Handler
from steward.model.service import Options
from steward.web.access.keys import CHANGERS, SEERS, Authenticator
from steward.web.api import query
from steward.web.api.body import read_array, read_json
from steward.web.api.methods import RouteMethods
from steward.web.api.query import SubmissionQuery
from steward.web.headers import Explain

MOST_AT_ONCE: Final = 10_000
BULKS: Final = 2
"""Bulks of one key in hand at once; further ones wait before they are read. A body may take 64 MB of memory."""

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

    As `Annotated[Caller, Depends(Requires("read"))]` it gives who is asking. It stands before whatever else a route
    depends on. Raises as `Authenticator.admit`, and as `require_known` for the route's query parameters.
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


@dataclass(frozen=True, slots=True)
class TaskSubmission:
    """What is handed over, one payload or an `Array` of them, and how it is to be treated."""

    options: Options
    body: Any


def one_of(handler: Handler, model: Any) -> Callable[..., Awaitable[TaskSubmission]]:
    """Return a dependency that gives one task of `handler`. FastAPI is told of `model`, and we read (see `read_json`).

    FastAPI would read before anybody was asked for a key, however long the body is, and take the last of two equal
    names in it.
    """

    async def submission(
        request: Request,
        caller: Annotated[Caller, Depends(RequiresHandler(handler))],
        wanted: Annotated[SubmissionQuery, Query()],
        key: KeyHeader = None,
        told: Any = None,
    ) -> TaskSubmission:
        options = wanted.options(query.only_key(request, key), caller)
        return TaskSubmission(options, await read_json(request))

    submission.__annotations__["told"] = Annotated[model, Body()]
    return submission


def many_of(handler: Handler, model: Any) -> Callable[..., AsyncIterator[TaskSubmission]]:
    """Return a dependency that gives many tasks of `handler`, as `one_of`.

    Until they have been accepted the body keeps one of its caller's places.
    """

    async def submission(
        request: Request,
        caller: Annotated[Caller, Depends(RequiresHandler(handler))],
        wanted: Annotated[SubmissionQuery, Query()],
        key: KeyHeader = None,
        told: Any = None,
    ) -> AsyncIterator[TaskSubmission]:
        options = wanted.options(query.only_key(request, key), caller)
        async with interface(request).rooms.setdefault(caller.id, asyncio.Semaphore(BULKS)):
            yield TaskSubmission(options, await read_array(request))

    submission.__annotations__["told"] = Annotated[list[model], Body(max_length=MOST_AT_ONCE)]
    return submission
