"""The folder keeps what every archive promises, and what a folder makes of names, modes, drafts and a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.contracts.archive import NAMES, OTHER, TASK, ArchiveContract
from steward.errors import ConfigurationError, StorageFull, StorageUnavailable
from steward.storage.archive import Archive, checksum, pieces
from steward.storage.archives.folder import FolderArchive, _in_words, safe_name


class TestFolderArchive(ArchiveContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], Archive]:
        return lambda: FolderArchive(tmp_path / "archive")


@pytest.fixture
def archive(tmp_path: Path) -> FolderArchive:
    return FolderArchive(tmp_path / "archive")


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_change_behind_its_back_shows_in_the_checksum(archive: FolderArchive) -> None:
    stored = archive.store(TASK, "report.pdf", BytesIO(b"figures"))
    archive.path(stored.location).write_bytes(b"forged!")
    assert checksum(archive, stored.location) != stored.sha256


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_from_outside_cannot_leave_their_folder(archive: FolderArchive, tmp_path: Path, name: str) -> None:
    stored = archive.store(TASK, name, BytesIO(b"x"))
    assert b"".join(pieces(archive, stored.location)) == b"x"
    assert files_below(tmp_path) == [archive.path(stored.location)]
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
def test_locations_that_are_none_are_refused(archive: FolderArchive, tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(StorageUnavailable):
        archive.open(location)
    with pytest.raises(StorageUnavailable):
        archive.path(location)


def test_a_barred_folder_is_told_in_words(archive: FolderArchive, tmp_path: Path) -> None:
    archive.store(TASK, "a.pdf", BytesIO(b"x"))
    (tmp_path / "archive" / TASK[:2] / OTHER).write_text("in the way")
    with pytest.raises(StorageUnavailable, match="could not be kept"):
        archive.store(OTHER, "a.pdf", BytesIO(b"x"))


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("file:///srv/archive", "/srv/archive"),
        ("file://localhost/srv/archive", "/srv/archive"),
        ("file:///srv/kept%20files%3F", "/srv/kept files?"),
    ],
)
def test_its_address_names_a_folder(url: str, root: str) -> None:
    assert FolderArchive.at(url).root == Path(root)


@pytest.mark.parametrize("url", ["file://srv/archive", "file://", "file:///srv?x=1", "file:///srv#x", "file://../x"])
def test_an_address_that_names_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="names no folder of this machine"):
        FolderArchive.at(url)


def test_a_write_that_the_system_refuses_leaves_nothing(tmp_path: Path) -> None:
    # A real refusal in the middle of writing, anywhere and without root: the process may write no larger file.
    program = f"""
import resource
from io import BytesIO
from pathlib import Path
from steward.storage.archives.folder import FolderArchive
from steward.errors import StorageFull
archive = FolderArchive(Path({str(tmp_path)!r}) / "archive")
location = archive.store("{TASK}", "a.pdf", BytesIO(b"old")).location
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    archive.store("{TASK}", "a.pdf", BytesIO(bytes(400_000)))
except StorageFull as error:
    print(error)
assert archive.open(location).read() == b"old"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
archive.store("{TASK}", "a.pdf", BytesIO(bytes(400_000)))
assert archive.path(location).stat().st_size == 400_000
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "could not be kept" in done.stdout and "space" in done.stdout
    assert [path.name for path in files_below(tmp_path)] == ["a.pdf"]


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
    stored = archive.store(TASK, "a.pdf", BytesIO(b"x"))
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
        "FolderArchive(Path(sys.argv[1])).store(sys.argv[2], 'a.pdf', open(sys.argv[3], 'rb'))"
    )
    (tmp_path / "source").write_bytes(b"ada@example.org")
    FolderArchive(root).store(TASK, "first.pdf", BytesIO(b"x"))  # so that the folders are there
    words = [sys.executable, "-c", writing, str(root), TASK, str(tmp_path / "source")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        assert FolderArchive(root).sweep() == 0
        writer.kill()
        writer.wait()
    assert FolderArchive(root).sweep() == 1


def test_only_its_owner_may_read(archive: FolderArchive) -> None:
    path = archive.path(archive.store(TASK, "a.pdf", BytesIO(b"x")).location)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
