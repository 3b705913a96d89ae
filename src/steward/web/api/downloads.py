"""Gives a task's file to somebody who may have it, and writes down that they took it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from steward.errors import UnknownFile
from steward.model.caller import Caller
from steward.model.results import Artifact
from steward.storage.archive import pieces
from steward.storage.tasks import acceptance, search
from steward.system.clock import new_id, now
from steward.web.access.keys import own

if TYPE_CHECKING:
    from steward.installation.container import Steward

_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=[a-z0-9-]+)?", re.IGNORECASE)


def respond(steward: Steward, caller: Caller, task_id: str, n: str, request: Request) -> Response:
    """Return file `n` of a task as a stream, or 304 if the caller has it. The access is in the task's history.

    Raises:
        UnknownTask: no such task, or another person's.
        UnknownFile: the task has no such file.
        StorageUnavailable: the file is gone, or the access cannot be recorded.
    """
    own(caller, steward.service.get_status(task_id))
    if not re.fullmatch(r"[0-9]{1,6}", n):
        raise UnknownFile(f"The task '{task_id[:80]}' has no file number {n[:20]}")
    with steward.ledger.read() as connection:
        artifact = search.artifact(connection, task_id, int(n))
    tag = f'"{artifact.sha256}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": tag})
    if request.method == "HEAD":  # nothing is taken
        return Response(None, 200, _headers(artifact), _media_type(artifact))
    chunks = pieces(steward.archive, artifact.location)
    first = next(chunks, b"")  # a file that is gone must be told before the headers have left
    moment, action = now(), new_id()
    steward.ledger.apply(
        lambda c: acceptance.note_action(c, action, task_id, moment, caller.name, "downloaded", artifact.name)
    )
    return StreamingResponse(_joined(first, chunks), 200, _headers(artifact), _media_type(artifact))


def _headers(artifact: Artifact) -> dict[str, str]:
    return {
        "Content-Disposition": disposition(artifact.name),
        "Content-Length": str(artifact.size),
        "ETag": f'"{artifact.sha256}"',
        "Cache-Control": "private, no-cache",
    }


def _media_type(artifact: Artifact) -> str:
    return artifact.media_type if _MEDIA_TYPE.fullmatch(artifact.media_type) else "application/octet-stream"


def disposition(name: str) -> str:
    """Return a Content-Disposition (RFC 6266, section 4.1) for `name`: quoted ASCII, and the whole name in UTF-8.

    Control characters and path separators are dropped, so that a name can be nothing but a name.
    """
    clean = _harmless(name)
    # Taken apart, one character may become several, and one of them a slash (U+2100 is "a/c").
    plain = _harmless(unicodedata.normalize("NFKD", clean).encode("ascii", "ignore").decode().replace("%", "_"))
    if plain == clean:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def _harmless(name: str) -> str:
    return "".join(c for c in name if unicodedata.category(c)[0] != "C" and c not in '/\\"').strip() or "file"


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
