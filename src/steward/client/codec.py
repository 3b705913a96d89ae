"""The JSON of the HTTP interface and what it stands for: payloads going there, tasks and errors coming back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from steward import errors
from steward.errors import FieldProblem, InvalidPayload, RateLimited, StewardError, Unreachable
from steward.model.results import Artifact, Delivery, Outcome, TaskResult


def as_json(value: Any) -> bytes:
    """Return a payload, or several, as JSON: mappings and pydantic models, with dates, decimals and secrets in them.

    A `Secret` travels as its text; the service seals it before it is stored.
    """
    return json.dumps(value, default=_plain, ensure_ascii=False).encode()


def json_of(content: bytes) -> Any:
    """Return what an answer holds.

    Raises:
        StewardError: it is no JSON, so that something else than Steward has answered.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise StewardError("The answer is not one of Steward's", remedy="Check the address") from error


def task_of(document: Mapping[str, Any]) -> TaskResult:
    """Return the task that the interface shows as `document`."""
    known = TaskResult.__dataclass_fields__
    given = {name: value for name, value in document.items() if name in known}
    for name in ("created_at", "due_at", "started_at", "finished_at", "expires_at"):
        given[name] = _time(given[name])
    given["deliveries"] = tuple(
        Delivery(n=n, **{**each, "outcome": Outcome(each["outcome"]), "at": _time(each["at"])})
        for n, each in enumerate(document["deliveries"])
    )
    given["artifacts"] = tuple(Artifact(**each) for each in document["artifacts"])
    return TaskResult(**given)


def error_of(status: int, content: bytes, headers: Mapping[str, str]) -> StewardError:
    """Return the error that an answer stands for: that of its problem document (RFC 9457), or of its status alone."""
    try:
        document = json.loads(content)
        kind, what, remedy = document["type"].rpartition("/")[2], document["detail"], document.get("remedy", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        away = status in (502, 503, 504)
        return (Unreachable if away else StewardError)(
            f"The answer was {status}, and not one of Steward's", remedy="Check the address"
        )
    found = _BY_KIND.get(kind) or _BY_STATUS.get(status, StewardError)
    if found is InvalidPayload:
        problems = [FieldProblem(e["field"], e["message"], e["nearest"]) for e in document.get("errors", ())]
        return InvalidPayload(what, problems, remedy)
    if found is RateLimited:
        return RateLimited(what, "", remedy, int(headers.get("Retry-After", 60)))
    return found(what, "", remedy)


_BY_KIND: dict[str, type[StewardError]] = {
    each.kind: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, StewardError)
}
# Kinds that only the web knows, such as a body that is no JSON.
_BY_STATUS: dict[int, type[StewardError]] = {
    400: errors.InvalidRequest,
    401: errors.NotPermitted,
    403: errors.NotPermitted,
    404: errors.NotFound,
    413: errors.InvalidRequest,
    415: errors.InvalidRequest,
    422: errors.InvalidRequest,
    503: errors.StorageUnavailable,
}


def _plain(value: Any) -> Any:
    """Return what JSON has no word for in words that the service reads."""
    if hasattr(value, "reveal"):
        return value.reveal()
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    fields = getattr(type(value), "model_fields", None)
    if fields is not None:
        return {field.alias or name: getattr(value, name) for name, field in fields.items()}
    return str(value)  # decimals, UUIDs, addresses


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
