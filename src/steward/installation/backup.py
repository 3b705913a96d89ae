"""Makes a consistent copy of an installation while it runs, and proves that a copy can be restored."""

from __future__ import annotations

import base64
import contextlib
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
from typing import Any, Final, Literal

from steward.errors import ConfigurationError, StorageUnavailable
from steward.installation import secret_key
from steward.storage.archive import Archive, pieces
from steward.storage.database import Connection, Ledger
from steward.storage.encryption import Seal
from steward.storage.maintenance import copying, retention
from steward.storage.tasks import artifacts, search
from steward.system import private_files
from steward.system.clock import SECOND, now

MANIFEST: Final = "backup.json"
LEDGER: Final = "ledger.sqlite3"
_PROOF: Final = "steward backup"
"""Owner and content of a sealed value in the manifest, which only the right key opens."""
_ABANDONED: Final = 6 * 3600.0
"""Seconds after which a copy that was never finished is taken for that of a process that died."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished copy: its folder, how many tasks and files it holds, and its size in bytes.

    `elsewhere` is how many files it does not hold: they stay in an archive that keeps copies of its own.

    `key` says whether the key that opens what is sealed is inside, or kept apart because a setting holds it; `sealed`
    how many values it opened, and `lost` how many were sealed with an earlier key, and cannot be opened anywhere.
    """

    folder: Path
    tasks: int
    files: int
    size: int
    key: Literal["inside", "apart"] = "inside"
    sealed: int = 0
    lost: int = 0
    elsewhere: int = 0


def make(
    ledger: Ledger,
    archive: Archive,
    key_file: Path,
    target: Path,
    moment: datetime,
    *,
    key: bytes | None = None,
) -> Path:
    """Copy the ledger, the archived files and the key into a new folder below `target`, and return it: whole, or none.

    `key` is the one in use, `key_file` where it is kept if no setting holds it. What a setting holds is not copied.

    Raises:
        ConfigurationError: the target cannot be written.
        StorageUnavailable: a file is missing, or there is no room.
    """
    folder = target / f"steward-{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    try:
        private_files.make_folder(target)
        _sweep(target)
        draft = Path(tempfile.mkdtemp(prefix=".backup-", dir=target))
    except OSError as error:
        raise ConfigurationError(
            f"The folder {target} cannot be written", error.strerror or str(error), "Name another one with --to"
        ) from error
    try:
        _copy_ledger(ledger, draft / LEDGER)
        copied = Ledger(f"sqlite:///{draft / LEDGER}")
        with copied.read() as connection:
            files = artifacts.every(connection)
        copied.close()
        for file in files if archive.in_backup else ():
            _copy_file(archive, file.location, draft / "archive")
        inside = key_file.is_file() and key in (None, _key_in(key_file))
        if inside:
            shutil.copyfile(key_file, draft / secret_key.FILE)
        in_use = key or _key_in(key_file)
        for path in draft.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        sums = {str(p.relative_to(draft)): _checksum(p) for p in sorted(draft.rglob("*")) if p.is_file()}
        told = {
            "made_at": moment.isoformat(),
            "key": "inside" if inside else "apart",
            "archive": "inside" if archive.in_backup else "apart",
            "proof": base64.b64encode(Seal(in_use).close(_PROOF.encode(), _PROOF)).decode(),
            "files": sums,
        }
        (draft / MANIFEST).write_text(json.dumps(told, indent=1))
        (draft / MANIFEST).chmod(0o600)
        _sync(draft)
        draft.rename(folder)
    except StorageUnavailable:
        raise
    except OSError as error:
        raise StorageUnavailable("The backup could not be written", error.strerror or str(error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def verify(folder: Path, key: bytes | None = None) -> Backup:
    """Restore `folder` into a temporary place, open it, and check every file, rule and sealed value.

    `key` is used where the backup's own is kept apart.

    Raises:
        ConfigurationError: it is no backup, not whole, or its key is not there or another; the words say which.
    """
    try:
        told: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        wanted: dict[str, str] = dict(told["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder} is not a backup", f"{MANIFEST} cannot be read: {error}") from error
    for name, checksum in wanted.items():
        path = folder / name
        if not path.is_file() or _checksum(path) != checksum:
            raise ConfigurationError(f"The backup {folder.name} is not whole", f"{name} is missing or was altered")
    inside = secret_key.FILE in wanted
    with tempfile.TemporaryDirectory(prefix="steward-verify-") as temporary:
        place = Path(temporary)
        for name in (LEDGER, *([secret_key.FILE] if inside else [])):
            shutil.copyfile(folder / name, place / name)
        seal = Seal(_key_in(place / secret_key.FILE) if inside else _given(key, folder.name))
        proved = _fits(seal, told, folder.name)
        ledger = Ledger(f"sqlite:///{place / LEDGER}")
        try:
            ledger.open()
            with ledger.read() as connection:
                broken = retention.breaches(connection)
                counts = search.counts(connection)
                files = artifacts.every(connection)
                opened, lost = _open_all(connection, seal)
        finally:
            ledger.close()
    if lost and not proved:
        raise _another_key(folder.name)
    if broken:
        raise ConfigurationError(f"The backup {folder.name} breaks a rule", "; ".join(b.rule for b in broken))
    # Said by the backup itself, which is proved alone: the archive that has them may be out of reach here.
    elsewhere = len(files) if told.get("archive") == "apart" else 0
    for file in files if not elsewhere else ():
        path = folder / "archive" / file.location
        if not path.is_file() or _checksum(path) != file.sha256:
            raise ConfigurationError(
                f"The backup {folder.name} lacks a report", f"{file.location} is missing or altered"
            )
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    held, tasks = len(files) - elsewhere, sum(counts.values())
    return Backup(folder, tasks, held, size, "inside" if inside else "apart", opened, lost, elsewhere)


def _copy_file(archive: Archive, location: str, folder: Path) -> None:
    place = (folder / location).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise StorageUnavailable("An archived file cannot be copied", f"'{location}' is no place below a folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        content = pieces(archive, location)
    except StorageUnavailable as error:
        raise StorageUnavailable("An archived file is missing", f"{location}: {error}", "Run: steward check") from error
    with place.open("xb") as file:
        file.writelines(content)


def _given(key: bytes | None, name: str) -> bytes:
    if key is None:
        raise ConfigurationError(
            f"It cannot be proved that the backup {name} can be restored",
            "Its key is not in it: it was kept in STEWARD_SECRET_KEY, and no key is set here",
            "Set STEWARD_SECRET_KEY to the key of that installation, and verify again",
        )
    return key


def _fits(seal: Seal, told: dict[str, Any], name: str) -> bool:
    """Return whether the key is proved to be the right one; a backup of an earlier version has no proof in it."""
    if "proof" not in told:
        return False
    try:
        fits = seal.open(base64.b64decode(told["proof"]), _PROOF) == _PROOF.encode()
    except (ConfigurationError, ValueError, TypeError):
        fits = False
    if not fits:
        raise _another_key(name)
    return True


def _open_all(connection: Connection, seal: Seal) -> tuple[int, int]:
    """Open every value that is sealed; return how many could be, and could not be."""
    opened = lost = 0
    for owner, content in retention.sealed(connection):
        try:
            seal.open(content, owner)
            opened += 1
        except ConfigurationError:
            lost += 1
    return opened, lost


def _another_key(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"The backup {name} cannot be restored with this key",
        "What is sealed in it was sealed with another",
        "Set STEWARD_SECRET_KEY, or put into place the secret.key, that was in use when it was made",
    )


def _key_in(path: Path) -> bytes:
    try:
        return path.read_text().encode()
    except OSError as error:
        raise ConfigurationError(f"The key {path.name} cannot be read", error.strerror or str(error)) from error


def _sweep(target: Path) -> None:
    """Delete copies that were never finished: they hold everything."""
    for draft in target.glob(".backup-*"):
        with contextlib.suppress(OSError):
            if now() / SECOND - draft.stat().st_mtime > _ABANDONED:
                shutil.rmtree(draft)


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
