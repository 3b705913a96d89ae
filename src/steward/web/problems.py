"""Turns every error into a problem document (RFC 9457), or into a page in words for a browser."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from steward import errors
from steward.errors import (
    InvalidPayload,
    InvalidRequest,
    MissingScope,
    NotFound,
    NotPermitted,
    RateLimited,
    StewardError,
)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100
"""More field problems than this are counted, not listed: a bulk of 10,000 could be wrong 10,000 times."""


class MalformedBody(InvalidRequest):
    """The body is not JSON, or not what its media type says."""

    kind = "malformed-body"


class BodyTooLarge(InvalidRequest):
    """The body has more bytes than are read."""

    kind = "body-too-large"


class WrongMediaType(InvalidRequest):
    """The body is of a kind that is not read here."""

    kind = "wrong-media-type"


class NotSignedIn(NotPermitted):
    """No key came with the request, or one that is not in use."""

    kind = "not-signed-in"

    def __init__(self, what: str, why: str = "", remedy: str = "", *, presented: bool = False) -> None:
        self.presented = presented
        super().__init__(what, why, remedy)


class NoSuchPage(NotFound):
    """Nothing is found under this address."""


class FormExpired(NotPermitted):
    """A form came without the token that its page was given, or from another site."""

    kind = "form-expired"


STATUS: Mapping[type[BaseException], int] = {
    errors.InvalidRequest: 422,
    errors.UnknownHandler: 404,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.NotPermitted: 403,
    errors.RateLimited: 429,
    errors.StorageUnavailable: 503,
    errors.StorageFull: 507,
    errors.SourceUnavailable: 503,
    MalformedBody: 400,
    BodyTooLarge: 413,
    WrongMediaType: 415,
    NotSignedIn: 401,
    StewardError: 500,
}
"""The status of each error; of a class that is not named, its nearest parent's."""

KINDS: Mapping[str, tuple[str, str]] = {
    "invalid-request": ("The request cannot be accepted", "Change the request as the remedy says and send it again."),
    "unknown-handler": ("No such task", "The name in the address is not the name of a registered handler."),
    "not-a-handler": ("No such task", "What was handed over is not a registered handler."),
    "invalid-payload": ("The payload is not valid", "`errors` names each field and what is wrong with it."),
    "invalid-option": (
        "An option cannot be honoured",
        "A query parameter or a header has a value that cannot be used.",
    ),
    "unsupported": ("This engine cannot do that", "The engine that performs tasks here declares that it lacks this."),
    "unknown-task": ("No such task", "No task of yours has this id; finished tasks are deleted after a while."),
    "unknown-file": ("No such file", "The task has no file of this number; `artifacts` lists those that it has."),
    "unknown-schedule": ("No such schedule", "No schedule of yours has this id; `GET /v1/schedules` lists them."),
    "unknown-key": ("No such key", "No key in use has this id or name; an operator lists them: steward key list."),
    "unknown-user": ("No such user", "Nobody of this name may sign in; an operator lists them: steward user list."),
    "conflict": ("The present state does not allow it", "Look at the task, then decide again."),
    "key-conflict": ("The key stands for another request", "An idempotency key stands for one name and one payload."),
    "state-conflict": ("The task's state does not allow it", "Finished and cancelled tasks never change."),
    "not-permitted": ("Not permitted", "You may not do this."),
    "not-signed-in": ("A key is needed", "Send `Authorization: Bearer stw_…` with a key that is in use."),
    "missing-scope": ("The key lacks the scope", "Ask an operator for a key with the scope that `detail` names."),
    "form-expired": ("The form is no longer valid", "Reload the page that showed the form and send it again."),
    "rate-limited": ("Too many requests", "Wait as many seconds as `Retry-After` says."),
    "storage-unavailable": ("The store cannot be used", "Nothing was accepted. Try again in a moment."),
    "storage-busy": ("The store is busy", "Nothing was accepted. Try again in a moment."),
    "storage-full": ("There is no room left", "Nothing was accepted. It works again once there is room."),
    "source-unavailable": ("The application's database does not answer", "Try again in a moment."),
    "malformed-body": ("The body cannot be read", "Send one JSON value in UTF-8."),
    "body-too-large": ("The body is too large", "Hand over less at once, or a reference to the data."),
    "wrong-media-type": ("This media type is not read here", "Send `Content-Type: application/json`."),
    "not-found": ("Nothing is found here", "Check the address."),
    "method-not-allowed": ("The method is not allowed here", "`Allow` names the methods that are."),
    "configuration": ("The service is not set up for this", "An operator has to change a setting."),
    "internal": ("Something went wrong on our side", "The log has the details under the number in `instance`."),
}
"""What each kind of problem is called, and what to do about it: the page under its type's address says so."""

_DEEDS: Mapping[str, str] = {
    "read reports operate": "see tasks and schedules",
    "send reports operate": "cancel, repeat or change anything",
    "send reports": "ask for reports",
    "reports operate": "ask for reports and download them",
    "send": "hand over tasks",
    "read operate": "see the plugins",
    "operate": "see everybody's letters",
}
"""What a page lets do those who have any of these scopes."""

_ALLOWANCES: Mapping[str, str] = {
    "send": "hand over tasks",
    "read": "see your own tasks",
    "reports": "ask for reports and download them",
    "operate": "see and change what belongs to anybody",
}

UNFORESEEN = StewardError(
    "Something went wrong on our side", "It has been written to the log", "Try again; tell an operator if it stays"
)


def status_of(error: BaseException) -> int:
    """Return the HTTP status for `error`: that of its class or of its nearest named parent."""
    return next((STATUS[c] for c in type(error).__mro__ if c in STATUS), 500)


def in_words(error: BaseException) -> StewardError:
    """Return `error` as one of ours."""
    if isinstance(error, StewardError):
        return error
    if isinstance(error, HTTPException) and error.status_code == 404:
        return NoSuchPage("Nothing is found under this address", remedy="Check the address")
    return UNFORESEEN


def refusal(error: MissingScope, name: str, scopes: Collection[str]) -> StewardError:
    """Return `error` in the words of a page, for the person who is signed in as `name` with `scopes`."""
    may = [words for scope, words in _ALLOWANCES.items() if scope in scopes]
    return StewardError(
        f"You may not {_DEEDS.get(error.scope, 'do this')}",
        f"You are signed in as {name} and may {' and '.join(may) or 'only look around'}",
        "Ask an operator, such as whoever gave you your key or your sign-in link, for a new one that allows it",
    )


def document(error: BaseException, base: str, instance: str = "") -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return the status, the members (RFC 9457, section 3.1) and the headers for `error`.

    `base` is the address of the service; each `type` is a page under it that explains the kind.
    """
    if isinstance(error, HTTPException) and error.status_code == 405:
        status, kind = 405, "method-not-allowed"
        said = StewardError(KINDS[kind][0], remedy=KINDS[kind][1])
    else:
        said = in_words(error)
        status = status_of(said)
        kind = said.kind if said.kind in KINDS else "internal"
    members: dict[str, Any] = {
        "type": f"{base}/problems/{kind}",
        "title": KINDS[kind][0],
        "status": status,
        "detail": sentences(said.what, said.why),
        "remedy": sentences(said.remedy),
    }
    if isinstance(said, InvalidPayload):
        listed = said.problems[:MOST_ERRORS]
        members["detail"] = sentences(said.what)
        members["errors"] = [{"field": p.field, "message": p.message, "nearest": p.nearest} for p in listed]
        left_out = len(said.problems) - len(listed) + said.more
        if left_out:
            members["errors_left_out"] = left_out
    if instance:
        members["instance"] = instance
    return status, members, headers_of(error)


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that belong to `error`: Retry-After, WWW-Authenticate (RFC 6750, section 3), Allow."""
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, (errors.StorageUnavailable, errors.SourceUnavailable)):
        return {"Retry-After": "5"}
    if isinstance(error, NotSignedIn):
        return {"WWW-Authenticate": 'Bearer realm="steward"' + (', error="invalid_token"' if error.presented else "")}
    if isinstance(error, MissingScope):
        return {"WWW-Authenticate": f'Bearer realm="steward", error="insufficient_scope", scope="{error.scope}"'}
    if isinstance(error, HTTPException) and error.headers:
        return dict(error.headers)
    return {}


def sentences(*parts: str) -> str:
    """Return `parts` as sentences, each with its stop."""
    return " ".join(p if p.endswith((".", "?", "!")) else f"{p}." for p in parts if p)


def as_response(error: BaseException, base: str, instance: str = "") -> Response:
    """Return the problem document for `error`."""
    status, members, headers = document(error, base, instance)
    return Response(to_json(members), status, headers, MEDIA_TYPE)


def wants_page(request: Request, root: str = "") -> bool:
    """Whether a person is looking: the address, below `root`, is not the interface's, and the browser asks for HTML."""
    return not request.url.path.removeprefix(root).startswith("/v1/") and "text/html" in request.headers.get(
        "accept", ""
    )
