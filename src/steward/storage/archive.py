"""The promise of keeping files: whole or not at all, found again by location and checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from steward.errors import StorageUnavailable

PIECE: Final = 1 << 18
"""Bytes that are read at a time."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A kept file: the archive's own name for it, its size in bytes and the SHA-256 of its content."""

    location: str
    size: int
    sha256: str


class Archive(Protocol):
    """Keeps files of tasks. Implementations stand in `archives/`.

    One is made by each process, and used by several of its threads at a time; several processes, perhaps on several
    hosts, use the same place. Every method blocks, and is never called in an event loop. Content is read and written as
    a stream, piece by piece, never held in memory as a whole: a file may be larger than that.

    `in_backup` says whether `steward backup` copies the files. Where it is False the place keeps copies of its own, and
    a backup holds their names and checksums alone.
    """

    in_backup: bool

    def store(self, task_id: str, name: str, content: BinaryIO) -> ArchivedFile:
        """Keep what is left in the stream `content` under the task and return where. The caller closes the stream.

        When this returns the file is there whole, and stays through the loss of power; until then readers see what
        was there before, or nothing. Storing the same name for the same task again replaces it. `name` may be
        anything: different names never meet in one place, and none leaves the task's own. The location is text of at
        most 1,024 characters that stays valid in every later process; size and checksum are of what was read.

        Raises:
            StorageFull, StorageUnavailable: nothing was kept, and what was there before still is. The task is tried
                again. The words are shown to people.
        """

    def open(self, location: str) -> BinaryIO:
        """Return the content as a stream of bytes to be read once from its beginning; the caller closes it.

        That the file is missing is known here, before the first byte. Reading raises `StorageUnavailable` or `OSError`
        if the rest cannot be had; who reads compares size or checksum, so that half a file is never taken for one.

        Raises:
            StorageUnavailable: the file is gone or cannot be read, or `location` is none of this archive's.
        """

    def remove(self, task_id: str) -> int:
        """Delete every file of the task and return how many there were; 0 where there is none.

        Raises:
            StorageUnavailable: some could not be deleted; it is safe to ask again.
        """

    def sweep(self) -> int:
        """Delete what interrupted writers left behind, and return how many that were. Called every half minute.

        Never what a living writer is at, on whatever host.
        """

    def close(self) -> None:
        """Free the connections. It may be called again."""


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What an archive is made from: `url` is STEWARD_ARCHIVE_URL, whose scheme has chosen it."""

    url: str


ArchiveFactory = Callable[[ArchiveOptions], Archive]
"""Makes an archive. It does not connect yet: what a URL cannot mean is refused here, with `ConfigurationError`."""


def pieces(archive: Archive, location: str) -> Iterator[bytes]:
    """Open a file at once, and return its content in pieces. Raises as `Archive.open`, also while it is read."""
    return _read(archive.open(location), location)


def _read(stream: BinaryIO, location: str) -> Iterator[bytes]:
    with stream:
        try:
            while piece := stream.read(PIECE):
                yield piece
        except StorageUnavailable:
            raise
        except OSError as error:
            raise StorageUnavailable(f"The file '{location}' cannot be read", str(error)) from error


def checksum(archive: Archive, location: str) -> str:
    """Return the SHA-256 of what is stored now, read afresh. Raises as `pieces`."""
    digest = hashlib.sha256()
    for piece in pieces(archive, location):
        digest.update(piece)
    return digest.hexdigest()
