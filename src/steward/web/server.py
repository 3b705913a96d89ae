"""Makes the web server of an application: Uvicorn, with bounds on what its guests may keep, and trusted proxies."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from steward.installation.settings import Settings
from steward.web import connections

GRACE = 15
"""Seconds a stopping web server gives to requests that are being answered."""
WAITING = 1024
"""Connections that the kernel keeps for us until they are accepted."""


class WebServer(uvicorn.Server):
    """Begins and ends the application itself: what goes wrong there is then an error in words."""

    def __init__(self, app: FastAPI, settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
        """`ready` is called when the application has begun."""
        self._app, self._ready = app, ready
        super().__init__(
            uvicorn.Config(
                app,
                http=connections.protocol(connections.most_connections()),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=settings.log_level == "debug",
                server_header=False,
                timeout_graceful_shutdown=GRACE,
                backlog=connections.AT_ONCE,
                proxy_headers=bool(settings.proxies),
                forwarded_allow_ips=settings.proxies,
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is told to exit."""
        async with self._app.router.lifespan_context(self._app):
            self._ready()
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        for listener in sockets or ():
            # For asyncio `backlog` is also how many it accepts in one go, before any of them can give way.
            listener.listen(WAITING)
            # What is accepted inherits it. asyncio sets it where a socket names its protocol, and a given one may not:
            # head and body of an answer are two packets, and the second then waits 40 ms for the guest's "received".
            if listener.family in (socket.AF_INET, socket.AF_INET6):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
