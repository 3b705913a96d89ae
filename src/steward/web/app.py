"""Builds the web application from an installation: the interface, the pages, health, and how errors are told."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

import steward as package
from steward.errors import StewardError
from steward.installation.container import Steward
from steward.web.api import openapi, query
from steward.web.api.methods import MethodMiddleware
from steward.web.headers import HeadersMiddleware, security_headers
from steward.web.router import methods_of, opened, routes_of


def create(steward: Steward) -> FastAPI:
    """Return the application for one installation. Nothing is global: two may live in one process.

    Raises:
        ConfigurationError: the installation cannot be used as it is set up.
    """
    interface, site = opened(steward)
    router, explain = routes_of(interface, site), site.explain
    app = FastAPI(
        title="Steward",
        version=package.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=router.lifespan_context,
    )
    app.router.routes.extend(router.routes)  # not included: each request would be matched twice
    for kind in (StewardError, HTTPException):
        app.add_exception_handler(kind, explain)
    app.add_exception_handler(ClientDisconnect, lambda request, error: Response(status_code=400))

    async def describe(request: Request) -> Response:
        caller = await interface.keeper.admit(request) if "authorization" in request.headers else None
        query.require_known(request, {})
        return Response(to_json(openapi.describe(app, steward, caller)), media_type="application/json")

    app.add_route("/openapi.json", describe)
    app.add_middleware(MethodMiddleware, methods=methods_of(interface, app.router.routes))
    app.add_middleware(HeadersMiddleware, explain=explain, headers=security_headers(steward.settings.public_url))
    return app
