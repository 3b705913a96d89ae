"""Makes a consistent copy of an installation while it runs, and proves that a copy can be restored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from steward.archives.folder import FolderArchive
from steward.errors import ConfigurationError, StorageUnavailable
from steward.ledger import Ledger, copying, search, upkeep
from steward.ledger.schema import artifacts

MANIFEST = "backup.json"
LEDGER = "ledger.sqlite3"


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished copy: its folder, how many tasks and files it holds, and its size in bytes."""

    folder: Path
    tasks: int
    files: int
    size: int


def make(ledger: Ledger, archive: FolderArchive, key_file: Path | None, target: Path, moment: datetime) -> Backup:
    """Copy the ledger, the archived files and the key into a new folder below `target`; whole, or not at all.

    Raises:
        ConfigurationError: the target cannot be written.
        StorageUnavailable: a file is missing, or there is no room.
    """
    folder = target / f"steward-{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(prefix=".backup-", dir=target))
    except OSError as error:
        raise ConfigurationError(
            f"The folder {target} cannot be written", error.strerror or str(error), "Name another one with --to"
        ) from error
    try:
        _copy_ledger(ledger, draft / LEDGER)
        copied = Ledger(f"sqlite:///{draft / LEDGER}")
        with copied.read() as connection:
            counts = search.counts(connection)
            locations = connection.scalars(sa.select(artifacts.c.location)).all()
        copied.close()
        for location in locations:
            source, place = archive.path(location), draft / "archive" / location
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
        if key_file is not None and key_file.exists():
            shutil.copyfile(key_file, draft / key_file.name)
            (draft / key_file.name).chmod(0o600)
        sums = {str(p.relative_to(draft)): _checksum(p) for p in sorted(draft.rglob("*")) if p.is_file()}
        (draft / MANIFEST).write_text(json.dumps({"made_at": moment.isoformat(), "files": sums}, indent=1))
        _sync(draft)
        draft.rename(folder)
    except FileNotFoundError as error:
        raise StorageUnavailable("An archived file is missing", str(error.filename), "Run: steward check") from error
    except OSError as error:
        raise StorageUnavailable("The backup could not be written", error.strerror or str(error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return Backup(folder, sum(counts.values()), len(locations), size)


def verify(folder: Path) -> Backup:
    """Restore `folder` into a temporary place, open it, and check every file and rule; return what it holds.

    Raises:
        ConfigurationError: it is no backup, or not whole; the words say what differs.
    """
    try:
        wanted: dict[str, str] = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{folder} is not a backup", f"{MANIFEST} cannot be read: {error}") from error
    for name, checksum in wanted.items():
        path = folder / name
        if not path.is_file() or _checksum(path) != checksum:
            raise ConfigurationError(f"The backup {folder.name} is not whole", f"{name} is missing or was altered")
    with tempfile.TemporaryDirectory(prefix="steward-verify-") as place:
        shutil.copyfile(folder / LEDGER, Path(place) / LEDGER)
        ledger = Ledger(f"sqlite:///{Path(place) / LEDGER}")
        try:
            ledger.open()
            with ledger.read() as connection:
                broken = upkeep.breaches(connection)
                counts = search.counts(connection)
                files = connection.execute(sa.select(artifacts.c.location, artifacts.c.sha256)).all()
        finally:
            ledger.close()
    if broken:
        raise ConfigurationError(f"The backup {folder.name} breaks a rule", "; ".join(b.rule for b in broken))
    for location, checksum in files:
        path = folder / "archive" / location
        if not path.is_file() or _checksum(path) != checksum:
            raise ConfigurationError(f"The backup {folder.name} lacks a report", f"{location} is missing or altered")
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return Backup(folder, sum(counts.values()), len(files), size)


def _copy_ledger(ledger: Ledger, target: Path) -> None:
    if ledger.path is None:
        copy = Ledger(f"sqlite:///{target}")
        copying.copy(ledger, copy, live=True)
        copy.close()
        return
    # SQLite's own online backup: one consistent state, while others go on writing.
    with closing(sqlite3.connect(ledger.path)) as source, closing(sqlite3.connect(target)) as copied:
        source.backup(copied)
        copied.execute("PRAGMA journal_mode=DELETE")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
