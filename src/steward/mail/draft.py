"""Makes a letter's bytes when it is about to be sent, and again, the very same, when it must be repeated.

A letter for many, or with large files, is not made ahead: twenty copies of eight megabytes are eight megabytes here, in
the handler's process, and in the ledger. What is stored for a repeat is the message cut at its files, and each file
once for the task.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from steward.errors import ConfigurationError
from steward.mail.message import mime
from steward.mail.message.message import Message, MessageAttachment, cut
from steward.storage.encryption import Seal

ROOM: Final = 32_000_000
"""Bytes of made letters that may wait or be sent at once, or one letter that is larger."""
LARGEST_STORED: Final = 32_000_000
"""A letter above this size (bytes), which no mail server takes, is not kept for a repeat but composed again."""

_CUT: Final = b'{"cut":'
"""How a message that is stored in pieces begins; a whole one begins with the name of a header field."""


@dataclass(frozen=True, slots=True)
class ComposedMessage:
    """A letter as it goes over the wire, and what is to be stored for a repeat, sealed, if anything."""

    wire: bytes
    stored: bytes | None = None
    enclosures: tuple[tuple[str, bytes], ...] = ()


def made(message: Message, seal: Seal, task_id: str, kept: set[str], *, store: bool) -> ComposedMessage:
    """Return `message` made; `kept` are the SHA-256 of the files that are stored already.

    Raises:
        UnsafeMail: as `compose`.
    """
    pieces = cut(message)
    whole: list[bytes] = []
    stored: list[dict[str, str]] = []
    files: dict[str, bytes] = {}
    for piece in pieces:
        if isinstance(piece, MessageAttachment):
            content = piece.content
            sha256 = hashlib.sha256(content).hexdigest()
            files[sha256] = content
            whole.append(mime.file_body(content))
            stored.append({"file": sha256})
        else:
            whole.append(piece)
            stored.append({"bytes": binascii.b2a_base64(piece, newline=False).decode()})
    wire = b"".join(whole)
    if not store or len(wire) > LARGEST_STORED:
        return ComposedMessage(wire)
    if not files:
        return ComposedMessage(wire, seal.close(wire, task_id))
    text = _CUT + json.dumps(stored).encode() + b"}"
    new = tuple((sha256, seal.close(content, task_id)) for sha256, content in files.items() if sha256 not in kept)
    return ComposedMessage(wire, seal.close(text, task_id), new)


def in_pieces(stored: bytes) -> bool:
    """Return whether `stored` is a message cut at its files; else it is the message itself."""
    return stored.startswith(_CUT)


def made_again(stored: bytes, seal: Seal, task_id: str, file: Callable[[str], bytes | None]) -> ComposedMessage:
    """Return the letter of which `stored` is what was kept; `file` gives the sealed content of a file by its SHA-256.

    Raises:
        ConfigurationError: a file is not kept any more.
    """
    whole = []
    for piece in json.loads(stored)["cut"]:
        if "file" not in piece:
            whole.append(binascii.a2b_base64(piece["bytes"]))
            continue
        sealed = file(piece["file"])
        if sealed is None:
            raise ConfigurationError(
                "A letter cannot be repeated", "A file that goes with it is not kept any more", "Ask for a new task"
            )
        whole.append(mime.file_body(seal.open(sealed, task_id)))
    return ComposedMessage(b"".join(whole))


def size_of(message: Message) -> int:
    """Return about how many bytes a letter has, before it is made."""
    files = [each for each in (*message.attachments, *message.pictures) if isinstance(each, MessageAttachment)]
    words = len(message.text) + len(message.html or "")
    return words + sum(file.path.stat().st_size for file in files) * 4 // 3


class MessageRoom:
    """Room for letters that are made: in turn, and only as many at once as it has bytes. Of one event loop."""

    def __init__(self, size: int = ROOM) -> None:
        self._size = size
        self._used = self._count = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, size: int, *, first: bool = False) -> AsyncIterator[None]:
        """Hold room for a letter of `size` bytes while the block lasts; `first` goes before all that wait."""
        ready = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)((size, ready))
        self._admit()
        await ready
        try:
            yield
        finally:
            self._used -= size
            self._count -= 1
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (not self._count or self._used + self._waiting[0][0] <= self._size):
            size, ready = self._waiting.popleft()
            if ready.done():
                continue  # whoever waited has been given up
            self._used += size
            self._count += 1
            ready.set_result(None)
