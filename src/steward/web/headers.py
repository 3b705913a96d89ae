"""Wraps every answer: security headers on all of them, and words for an error that nobody foresaw."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steward.system.clock import new_id

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": under it browsers send "Origin: null" with a form (Fetch, section 3.2), and ours need it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000"

Explain = Callable[[Request, BaseException, str], Awaitable[Response]]


class Envelope:
    """The outermost layer. A header that a response sets itself stands."""

    def __init__(self, app: ASGIApp, explain: Explain, secure: bool) -> None:
        self._app, self._explain = app, explain
        self._headers = HEADERS | ({"Strict-Transport-Security": HSTS} if secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_wrapped(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_wrapped)
        except Exception as error:
            number = f"urn:uuid:{new_id()}"
            # The place, not the message: it may quote what somebody sent.
            frames = traceback.extract_tb(error.__traceback__)[-4:]
            place = " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames))
            log.error(
                "%s %s failed with %s at %s (%s)", scope["method"], scope["path"], type(error).__name__, place, number
            )
            if begun:
                raise
            response = await self._explain(Request(scope, receive), error, number)
            await response(scope, receive, send_wrapped)
