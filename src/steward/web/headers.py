"""Wraps every answer: security headers on all of them, and words for an error that nobody foresaw."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping

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


def security_headers(public_url: str) -> dict[str, str]:
    """Return the headers that an answer carries unless it sets them itself."""
    return HEADERS | ({"Strict-Transport-Security": HSTS} if public_url.startswith("https:") else {})


class HeadersMiddleware:
    """The outermost layer. A header that a response sets itself stands."""

    def __init__(self, app: ASGIApp, explain: Explain, headers: Mapping[str, str]) -> None:
        self._app, self._explain, self._headers = app, explain, headers

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
            number = log_unforeseen(scope, error)
            if begun:
                raise
            response = await self._explain(Request(scope, receive), error, number)
            await response(scope, receive, send_wrapped)


def log_unforeseen(scope: Scope, error: Exception) -> str:
    """Write to the log where `error` came from, and return the number under which it stands there."""
    number = f"urn:uuid:{new_id()}"
    # The place, not the message: it may quote what somebody sent.
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    place = " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames))
    log.error("%s %s failed with %s at %s (%s)", scope["method"], scope["path"], type(error).__name__, place, number)
    return number
