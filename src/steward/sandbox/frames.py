"""Frames on the socket between parent and child: one letter for the kind, eight bytes of length, the content."""

from __future__ import annotations

import json
import pickle
import struct
from typing import Any, Final, Literal

Codec = Literal["json", "pickle"]

ORDER: Final = b"O"  # parent -> child: what to serve, once
REQUEST: Final = b"Q"  # parent -> child
READY: Final = b"Y"  # child -> parent: warm
MESSAGE: Final = b"M"  # child -> parent: on the way
REPLY: Final = b"R"  # child -> parent: the result
ERROR: Final = b"E"  # child -> parent: an exception, always as JSON

HEAD: Final = struct.Struct(">cQ")
MOST: Final = 1 << 30


def frame(kind: bytes, content: bytes) -> bytes:
    """Return the bytes of one frame."""
    return HEAD.pack(kind, len(content)) + content


def pack(value: Any, codec: Codec) -> bytes:
    """Return `value` as bytes. Raises what the codec raises for a value that it cannot carry."""
    if codec == "json":
        return json.dumps(value).encode()
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def unpack(content: bytes, codec: Codec) -> Any:
    """Return the value in `content`. `pickle` only for a child that runs code of ours alone."""
    if codec == "json":
        return json.loads(content)
    return pickle.loads(content)  # noqa: S301  # from a process of our own, over a socket without a name


class FrameReader:
    """Puts frames together from pieces as they arrive."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, piece: bytes) -> None:
        """Take what has arrived."""
        self._bytes += piece

    def take(self) -> tuple[bytes, bytes] | None:
        """Return the next whole frame as (kind, content), or None until more arrives.

        Raises:
            ValueError: the other side announces an impossible size.
        """
        if len(self._bytes) < HEAD.size:
            return None
        kind, size = HEAD.unpack_from(self._bytes)
        if size > MOST:
            raise ValueError(f"a frame of {size} bytes was announced")
        end = HEAD.size + size
        if len(self._bytes) < end:
            return None
        content = bytes(memoryview(self._bytes)[HEAD.size : end])
        del self._bytes[:end]
        return kind, content
