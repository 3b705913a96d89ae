"""Problem documents (RFC 9457) as they are answered, and described for each status."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from steward.web.api.models.base import AnswerModel
from steward.web.problems import MEDIA_TYPE


class FieldProblemModel(AnswerModel):
    """What is wrong with one field, and the name that was probably meant."""

    field: str
    message: str
    nearest: str | None


class ProblemModel(AnswerModel):
    """A problem document (RFC 9457)."""

    type: str = Field(json_schema_extra={"format": "uri"})
    title: str
    status: int
    detail: str
    remedy: str = Field(default_factory=str)
    instance: str = Field(default_factory=str)
    errors: list[FieldProblemModel] = Field(default_factory=list)
    errors_left_out: int = Field(default_factory=int)


WORDS: Final = {
    400: "The body cannot be read.",
    401: "No key, or one that is not in use.",
    403: "The key lacks the scope.",
    404: "No such task, or not yours.",
    409: "The present state, or an idempotency key, does not allow it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The payload or an option is not valid; `errors` names each field.",
    429: "There would be more for one recipient than is taken; `Retry-After` says when it is.",
    503: "The store cannot be used just now; nothing was accepted.",
    507: "There is no room left; nothing was accepted.",
}


class _ProblemContent(dict[str, Any]):
    """The content of an answer that is a problem document, under the media type of one.

    FastAPI describes every model of a route under the media type of its first answer.
    """

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return what stands under the only media type that there is."""
        return super().setdefault(MEDIA_TYPE, default)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers of these statuses for `responses=`, each a problem document."""
    return {
        status: {"model": ProblemModel, "description": WORDS[status], "content": _ProblemContent()}
        for status in statuses
    }
