"""A session as the browser keeps it: a sealed cookie with its token, and form tokens that belong to it."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from steward.errors import ConfigurationError
from steward.model.caller import Caller
from steward.storage.encryption import Seal
from steward.system.clock import SECOND, now
from steward.web.problems import FormExpired

LIFE = 8 * 3600
"""How long one stays signed in, in seconds: a working day."""

_OWNER = "web session"


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, as they stand at this moment, and the token of their session."""

    caller: Caller
    token: str


class Sessions:
    """Writes and reads the cookies. Whether a session goes on, and what its person may do, the ledger knows."""

    def __init__(self, seal: Seal, public_url: str) -> None:
        self._seal = seal
        self._origin = origin_of(public_url)
        self.secure = public_url.startswith("https:")
        # With the prefix a browser takes the cookie from this very host over HTTPS only (RFC 6265bis, section 4.1.3).
        prefix = "__Host-" if self.secure else ""
        self._cookie, self._form_cookie = f"{prefix}steward_session", f"{prefix}steward_form"

    def open(self, response: Response) -> tuple[str, int]:
        """Give a new session to the browser with this response; return its token and when it ends (microseconds)."""
        token, until = secrets.token_urlsafe(32), now() + LIFE * SECOND
        sealed = self._seal.close(json.dumps({"token": token, "until": until}).encode(), _OWNER)
        self._set(response, self._cookie, base64.urlsafe_b64encode(sealed).decode(), LIFE)
        response.delete_cookie(self._form_cookie, path="/", secure=self.secure, httponly=True, samesite="lax")
        return token, until

    def read(self, request: Request) -> str | None:
        """Return the session's token, or None: no cookie, an altered one, or its time is over."""
        try:
            sealed = base64.b64decode(request.cookies.get(self._cookie, ""), b"-_", validate=True)
            content = json.loads(self._seal.open(sealed, _OWNER))
            token, until = str(content["token"]), int(content["until"])
        except (binascii.Error, KeyError, ValueError, ConfigurationError):
            return None
        return None if until < now() else token

    def end(self, response: Response) -> None:
        """Take the cookie out of the browser with this response."""
        response.delete_cookie(self._cookie, path="/", secure=self.secure, httponly=True, samesite="lax")

    def form_token(self, session: Session) -> str:
        """Return the token that each form of this session carries."""
        return self._seal.digest(f"form {session.token}".encode())

    def first_form_token(self, request: Request, response: Response) -> str:
        """Return the token for a form of somebody who is not signed in yet; a cookie of its own goes with it."""
        nonce = request.cookies.get(self._form_cookie, "") or secrets.token_urlsafe(16)
        self._set(response, self._form_cookie, nonce, 3600)
        return self._seal.digest(f"first form {nonce}".encode())

    def check_form(self, request: Request, token: str, session: Session | None) -> None:
        """Return if a form came from a page of ours that was shown to this very browser.

        Raises:
            FormExpired: its token is missing or another's, or the browser says that another site sent it.
        """
        if session is not None:
            expected = self.form_token(session)
        else:
            nonce = request.cookies.get(self._form_cookie, "")
            expected = self._seal.digest(f"first form {nonce}".encode()) if nonce else ""
        known = {self._origin, f"{request.url.scheme}://{request.headers.get('host', '')}"}
        foreign = request.headers.get("origin", self._origin) not in known or request.headers.get(
            "sec-fetch-site", "same-origin"
        ) not in ("same-origin", "none")
        if foreign or not expected or not hmac.compare_digest(token.encode(), expected.encode()):
            raise FormExpired(
                "The form is no longer valid",
                "It was sent from another site" if foreign else "It was open too long, or you have signed in anew",
                "Go back, reload the page, and send it again",
            )

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="lax")


def origin_of(url: str) -> str:
    """Return scheme, host and port of `url`, as browsers send them in `Origin`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
