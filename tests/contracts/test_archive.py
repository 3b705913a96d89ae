"""What every archive keeps: whole files or none, found again, whatever they are called."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.errors import StorageFull, StorageUnavailable
from steward.storage.archive import Archive
from steward.storage.archives.folder import FolderArchive, _in_words, safe_name

TASK = "01hx7m4d2k"
OTHER = "01hx7m4d2z"


@pytest.fixture(params=[FolderArchive], ids=["folder"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    return request.param(tmp_path / "archive")


@pytest.fixture
def source(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "source"
        path.write_bytes(content)
        return path

    return write


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_stored_is_found_again(archive: Archive, source: Callable[[bytes], Path]) -> None:
    content = os.urandom(700_001)
    stored = archive.store(TASK, "report.pdf", source(content))
    sha256 = hashlib.sha256(content).hexdigest()
    assert (stored.size, stored.sha256) == (len(content), sha256)
    chunks = list(archive.open(stored.location))
    assert b"".join(chunks) == content and len(chunks) > 1
    assert archive.path(stored.location).read_bytes() == content
    assert archive.checksum(stored.location) == sha256
    assert source(b"").exists()  # a copy was kept; the source is the caller's


def test_an_empty_file_is_a_file(archive: Archive, source: Callable[[bytes], Path]) -> None:
    stored = archive.store(TASK, "empty.csv", source(b""))
    assert stored.size == 0
    assert list(archive.open(stored.location)) == []


def test_the_same_name_is_replaced(archive: Archive, source: Callable[[bytes], Path]) -> None:
    first = archive.store(TASK, "report.pdf", source(b"first"))
    second = archive.store(TASK, "report.pdf", source(b"second"))
    assert first.location == second.location
    assert b"".join(archive.open(second.location)) == b"second"
    assert archive.remove(TASK) == 1


def test_a_change_behind_its_back_shows_in_the_checksum(archive: Archive, source: Callable[[bytes], Path]) -> None:
    stored = archive.store(TASK, "report.pdf", source(b"figures"))
    archive.path(stored.location).write_bytes(b"forged!")
    assert archive.checksum(stored.location) != stored.sha256


def test_removing_takes_one_tasks_files_only(archive: Archive, source: Callable[[bytes], Path]) -> None:
    gone = [archive.store(TASK, name, source(b"x")).location for name in ("a.pdf", "a.csv", "a.xlsx")]
    kept = archive.store(OTHER, "a.pdf", source(b"x"))
    assert archive.remove(TASK) == 3
    assert archive.remove(TASK) == 0
    for location in gone:
        with pytest.raises(StorageUnavailable, match="cannot be read"):
            archive.open(location)
    assert b"".join(archive.open(kept.location)) == b"x"


NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    ".hidden",
    "a/b\\c.pdf",
    "line\r\nbreak.pdf",
    "nul\0byte.pdf",
    "CON.pdf",
    "x" * 5000 + ".pdf",
    "é" * 300 + ".pdf",
    "\u202efdp.exe",
    "\ud800.pdf",
    "-rf.pdf",
    "a.pdf.",
    "~",
    "*?<>|.csv",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_from_outside_cannot_leave_their_folder(
    archive: Archive, source: Callable[[bytes], Path], tmp_path: Path, name: str
) -> None:
    stored = archive.store(TASK, name, source(b"x"))
    assert b"".join(archive.open(stored.location)) == b"x"
    assert files_below(tmp_path) == [archive.path(stored.location), tmp_path / "source"]
    assert archive.path(stored.location).is_relative_to(tmp_path / "archive")
    kept = archive.path(stored.location).name
    assert kept.isprintable() and len(kept.encode()) <= 120 and not kept.startswith(".")


@pytest.mark.parametrize(
    "name", ["grant_report.pdf", "Bericht für März 2026.xlsx", "名簿.csv", "summary", "v1.2 final.pdf"]
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert safe_name(name) == name


@given(st.lists(st.text(max_size=200), min_size=2, max_size=5, unique=True))
def test_different_names_stay_different_and_endings_survive(names: list[str]) -> None:
    kept = [safe_name(f"{name}.pdf") for name in names]
    assert len(set(kept)) == len(kept)
    assert all(name.endswith(".pdf") and "/" not in name and name not in (".", "..") for name in kept)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/b", "01/x/../../../secret", "", "a/../b"])
def test_locations_that_are_none_are_refused(archive: Archive, tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(StorageUnavailable):
        list(archive.open(location))
    with pytest.raises(StorageUnavailable):
        archive.path(location)


@pytest.mark.parametrize("task_id", ["..", "../x", "", "a", "a/b", "a" * 65])
def test_task_ids_that_are_none_are_refused(archive: Archive, source: Callable[[bytes], Path], task_id: str) -> None:
    with pytest.raises(StorageUnavailable):
        archive.store(task_id, "a.pdf", source(b"x"))
    with pytest.raises(StorageUnavailable):
        archive.remove(task_id)


def test_a_reader_sees_the_old_file_or_the_new_one_never_half(
    archive: Archive, source: Callable[[bytes], Path]
) -> None:
    contents = [bytes([n]) * 300_000 for n in range(8)]
    location = archive.store(TASK, "a.pdf", source(contents[0])).location
    over = threading.Event()

    def read() -> int:
        seen = 0
        while not over.is_set() or not seen:
            assert archive.path(location).read_bytes() in contents
            seen += 1
        return seen

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        for content in contents:
            archive.store(TASK, "a.pdf", source(content))
        over.set()
        assert reading.result(10) > 0


def test_a_missing_source_and_a_barred_folder_are_told_in_words(
    archive: Archive, source: Callable[[bytes], Path], tmp_path: Path
) -> None:
    with pytest.raises(StorageUnavailable, match=r"could not be kept\. No such file"):
        archive.store(TASK, "a.pdf", tmp_path / "none")
    (tmp_path / "archive" / TASK[:2] / OTHER).write_text("in the way")
    with pytest.raises(StorageUnavailable, match="could not be kept"):
        archive.store(OTHER, "a.pdf", source(b"x"))


def test_a_write_that_the_system_refuses_leaves_nothing(tmp_path: Path) -> None:
    # A real refusal in the middle of writing, anywhere and without root: the process may write no larger file.
    program = f"""
import resource
from pathlib import Path
from steward.storage.archives.folder import FolderArchive
from steward.errors import StorageFull
archive = FolderArchive(Path({str(tmp_path)!r}) / "archive")
source = Path({str(tmp_path)!r}) / "source"
source.write_bytes(b"old")
location = archive.store("{TASK}", "a.pdf", source).location
source.write_bytes(bytes(400_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    archive.store("{TASK}", "a.pdf", source)
except StorageFull as error:
    print(error)
assert b"".join(archive.open(location)) == b"old"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
archive.store("{TASK}", "a.pdf", source)
assert archive.path(location).stat().st_size == 400_000
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "could not be kept" in done.stdout and "space" in done.stdout
    assert [path.name for path in files_below(tmp_path)] == ["a.pdf", "source"]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StorageUnavailable)],
)
def test_a_full_disk_is_told_from_a_broken_one(number: int, kind: type[StorageUnavailable]) -> None:
    with pytest.raises(StorageUnavailable, match="It failed") as error, _in_words("It failed"):
        raise OSError(number, os.strerror(number))
    assert type(error.value) is kind


def test_drafts_of_interrupted_writers_are_swept_when_they_are_old(tmp_path: Path) -> None:
    archive = FolderArchive(tmp_path / "archive")
    assert archive.sweep() == 0
    (tmp_path / "source").write_bytes(b"x")
    stored = archive.store(TASK, "a.pdf", tmp_path / "source")
    folder = archive.path(stored.location).parent
    (folder / ".draft-old").write_bytes(b"half")
    os.utime(folder / ".draft-old", (0, 0))
    (folder / ".draft-new").write_bytes(b"half")
    os.utime(archive.path(stored.location), (0, 0))
    assert archive.sweep() == 1
    assert sorted(path.name for path in folder.iterdir()) == [".draft-new", "a.pdf"]


def test_the_draft_of_a_process_of_this_host_goes_when_the_process_does(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    writing = (
        "import os, sys; from pathlib import Path; from steward.storage.archives.folder import FolderArchive\n"
        "os.fsync = lambda _: (print('half', flush=True), sys.stdin.read())\n"
        "FolderArchive(Path(sys.argv[1])).store(sys.argv[2], 'a.pdf', Path(sys.argv[3]))"
    )
    (tmp_path / "source").write_bytes(b"ada@example.org")
    FolderArchive(root).store(TASK, "first.pdf", tmp_path / "source")  # so that the folders are there
    words = [sys.executable, "-c", writing, str(root), TASK, str(tmp_path / "source")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        assert FolderArchive(root).sweep() == 0
        writer.kill()
        writer.wait()
    assert FolderArchive(root).sweep() == 1


def test_only_its_owner_may_read(archive: Archive, source: Callable[[bytes], Path]) -> None:
    path = archive.path(archive.store(TASK, "a.pdf", source(b"x")).location)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
