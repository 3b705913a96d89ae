"""The promise of keeping files: whole or not at all, found again by name and checksum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A kept file: the archive's own name for it, its size in bytes and the SHA-256 of its content."""

    location: str
    size: int
    sha256: str


class Archive(Protocol):
    """Keeps files of tasks. Implementations stand in `archives/`."""

    def store(self, task_id: str, name: str, source: Path) -> Stored:
        """Keep a copy of `source` under the task and return where. Written, synced and renamed: never half a file.

        Storing the same name for the same task again replaces it.

        Raises:
            StorageFull, StorageUnavailable: nothing was kept.
        """

    def open(self, location: str) -> Iterator[bytes]:
        """Return the content in chunks.

        Raises:
            StorageUnavailable: the file is gone or cannot be read.
        """

    def path(self, location: str) -> Path:
        """Return the file on this machine."""

    def checksum(self, location: str) -> str:
        """Return the SHA-256 of what is stored now, read afresh."""

    def remove(self, task_id: str) -> int:
        """Delete every file of the task and return how many there were."""
