"""What every archive keeps: whole files or none, found again, whatever they are called."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from steward.errors import StorageUnavailable
from steward.storage.archive import Archive, ArchivedFile, checksum, pieces

TASK: Final = "01hx7m4d2k"
OTHER: Final = "01hx7m4d2z"
NAMES: Final = (
    "grant_report.pdf",
    "Bericht für März 2026.xlsx",
    "名簿.csv",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    ".hidden",
    "a/b\\c.pdf",
    "a/b/c.pdf",
    "line\r\nbreak.pdf",
    "nul\0byte.pdf",
    "CON.pdf",
    "x" * 5000 + ".pdf",
    "x" * 5001 + ".pdf",
    "é" * 300 + ".pdf",
    "\u202efdp.exe",
    "\ud800.pdf",
    "-rf.pdf",
    "a.pdf.",
    "A.PDF",
    "a.pdf",
    "~",
    "*?<>|.csv",
    "50%.csv",
    "a b+c&d=e#f.csv",
)
"""Names that a handler may give a file; each must be kept, and none may meet another."""


class _Breaks(io.RawIOBase):
    """A stream that fails after `good` bytes, as a disk or a line does."""

    def __init__(self, good: int) -> None:
        self._left = good

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise OSError(5, "Input/output error")
        count = min(self._left, len(buffer))
        buffer[:count] = bytes(count)
        self._left -= count
        return count


class ArchiveContract:
    """Inherit it and define the fixture `make`: what returns an archive, each time a new one over the same place."""

    @pytest.fixture
    def make(self) -> Callable[[], Archive]:
        """Return what makes an archive. Two of them stand for two processes that share a place, empty at first."""
        raise NotImplementedError("Define the fixture `make` in your class")

    @pytest.fixture
    def archive(self, make: Callable[[], Archive]) -> Iterator[Archive]:
        """One archive, closed after the test."""
        made = make()
        yield made
        made.close()

    @staticmethod
    def store(archive: Archive, content: bytes, name: str = "report.pdf", task: str = TASK) -> ArchivedFile:
        """Keep `content` and return where."""
        return archive.store(task, name, io.BytesIO(content))

    @staticmethod
    def content(archive: Archive, location: str) -> bytes:
        """Return what is kept there."""
        return b"".join(pieces(archive, location))

    def test_says_whether_backups_copy_it(self, archive: Archive) -> None:
        assert isinstance(archive.in_backup, bool)

    @pytest.mark.parametrize("size", [0, 1, 700_001, 12_000_000])
    def test_finds_again_what_was_stored(self, archive: Archive, size: int) -> None:
        content = os.urandom(size)
        stored = self.store(archive, content)
        sha256 = hashlib.sha256(content).hexdigest()
        assert (stored.size, stored.sha256) == (size, sha256)
        assert self.content(archive, stored.location) == content
        assert checksum(archive, stored.location) == sha256

    def test_reads_in_pieces(self, archive: Archive) -> None:
        content = os.urandom(300_000)
        with archive.open(self.store(archive, content).location) as stream:
            first = stream.read(10)
            assert first == content[:10]
            assert first + stream.read(99_990) + stream.read() == content
            assert stream.read(10) == b""

    def test_keeps_what_is_left_in_the_stream_and_leaves_it_open(self, archive: Archive) -> None:
        stream = io.BytesIO(b"read before, and kept")
        stream.seek(13)
        stored = archive.store(TASK, "report.pdf", stream)
        assert not stream.closed
        assert self.content(archive, stored.location) == b"and kept"
        assert stored.size == 8

    def test_takes_a_stream_that_can_be_read_only_once(self, archive: Archive) -> None:
        content = os.urandom(400_000)
        reading, writing = os.pipe()
        with ThreadPoolExecutor(1) as threads, os.fdopen(reading, "rb") as stream:

            def write() -> None:
                with os.fdopen(writing, "wb") as file:
                    file.write(content)

            written = threads.submit(write)
            stored = archive.store(TASK, "report.pdf", stream)
            written.result(30)
        assert self.content(archive, stored.location) == content

    def test_is_found_by_another_process(self, archive: Archive, make: Callable[[], Archive]) -> None:
        stored = self.store(archive, b"figures")
        another = make()
        try:
            assert self.content(another, stored.location) == b"figures"
            assert another.remove(TASK) == 1
        finally:
            another.close()
        with pytest.raises(StorageUnavailable):
            archive.open(stored.location)

    def test_replaces_the_same_name(self, archive: Archive) -> None:
        first, second = self.store(archive, b"first"), self.store(archive, b"second")
        assert first.location == second.location
        assert self.content(archive, second.location) == b"second"
        assert archive.remove(TASK) == 1

    def test_removes_one_tasks_files_only(self, archive: Archive) -> None:
        gone = [self.store(archive, b"x", name).location for name in ("a.pdf", "a.csv", "a.xlsx")]
        kept = self.store(archive, b"x", "a.pdf", OTHER)
        assert archive.remove(TASK) == 3
        assert archive.remove(TASK) == 0
        for location in gone:
            with pytest.raises(StorageUnavailable, match="cannot be read"):
                archive.open(location)
        assert self.content(archive, kept.location) == b"x"

    def test_keeps_every_name_apart(self, archive: Archive) -> None:
        kept = {name: self.store(archive, repr(name).encode(), name).location for name in NAMES}
        assert len(set(kept.values())) == len(NAMES)
        for name, location in kept.items():
            assert self.content(archive, location) == repr(name).encode()
            assert 0 < len(location) <= 1024
            assert location.isprintable()
        assert archive.remove(TASK) == len(NAMES)

    @pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
    def test_lets_no_name_leave_its_task(self, archive: Archive, name: str) -> None:
        stored = self.store(archive, b"x", name)
        other = self.store(archive, b"y", name, OTHER)
        assert archive.remove(OTHER) == 1
        assert self.content(archive, stored.location) == b"x"
        with pytest.raises(StorageUnavailable):
            archive.open(other.location)

    @pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/b", "01/x/../../../secret", "", "a/../b"])
    def test_refuses_locations_that_are_none(self, archive: Archive, location: str) -> None:
        self.store(archive, b"x")
        with pytest.raises(StorageUnavailable):
            archive.open(location)

    @pytest.mark.parametrize("task_id", ["..", "../x", "", "a", "a/b", "a" * 65])
    def test_refuses_tasks_that_are_none(self, archive: Archive, task_id: str) -> None:
        kept = self.store(archive, b"x")
        with pytest.raises(StorageUnavailable):
            self.store(archive, b"x", task=task_id)
        with pytest.raises(StorageUnavailable):
            archive.remove(task_id)
        assert self.content(archive, kept.location) == b"x"

    @pytest.mark.parametrize("good", [0, 1000, 9_000_000])
    def test_keeps_nothing_of_a_stream_that_fails(self, archive: Archive, good: int) -> None:
        kept = self.store(archive, b"old")
        for name in ("report.pdf", "new.pdf"):
            with pytest.raises(StorageUnavailable) as told:
                archive.store(TASK, name, io.BufferedReader(_Breaks(good)))
            assert "could not be kept" in str(told.value)
        assert self.content(archive, kept.location) == b"old"
        assert archive.remove(TASK) == 1

    def test_shows_readers_the_old_file_or_the_new_one_never_half(self, archive: Archive) -> None:
        contents = [bytes([n]) * 300_000 for n in range(8)]
        location = self.store(archive, contents[0]).location
        over = threading.Event()

        def read() -> int:
            seen = 0
            while not over.is_set() or not seen:
                assert self.content(archive, location) in contents
                seen += 1
            return seen

        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(read)
            try:
                for content in contents:
                    self.store(archive, content)
            finally:
                over.set()
            assert reading.result(30) > 0

    def test_is_used_by_several_threads(self, archive: Archive) -> None:
        names = [f"{n}.csv" for n in range(24)]
        with ThreadPoolExecutor(8) as threads:
            kept = list(threads.map(lambda name: self.store(archive, name.encode() * 1000, name), names))
            found = list(threads.map(lambda stored: self.content(archive, stored.location), kept))
        assert found == [name.encode() * 1000 for name in names]
        assert archive.remove(TASK) == len(names)

    def test_sweeps_nothing_that_is_kept(self, archive: Archive) -> None:
        stored = self.store(archive, b"x")
        assert archive.sweep() == 0
        assert self.content(archive, stored.location) == b"x"

    def test_can_be_closed_twice(self, make: Callable[[], Archive]) -> None:
        made = make()
        self.store(made, b"x")
        made.close()
        made.close()
