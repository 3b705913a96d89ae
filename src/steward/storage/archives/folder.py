"""An archive that is a folder: written beside its place, synced, renamed; names from outside made harmless."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

from steward.errors import ConfigurationError, StorageFull, StorageUnavailable
from steward.storage.archive import PIECE, ArchivedFile
from steward.system import private_files, processes
from steward.system.clock import SECOND, now
from steward.system.filenames import LONGEST, harmless, split

_DRAFT: Final = ".draft-"
_STALE: Final = 3600.0  # seconds; a process on another host may be writing a younger draft
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderArchive:
    """Keeps files as `root/<first two of the task id>/<task id>/<name>`; locations are relative to `root`."""

    in_backup = True

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def at(cls, url: str) -> FolderArchive:
        """Return the archive at `url`, such as `file:///srv/archive` (RFC 8089).

        Raises:
            ConfigurationError: it names no folder of this machine.
        """
        parts = urlsplit(url)
        root = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not root.is_absolute() or parts.query or parts.fragment:
            raise ConfigurationError(
                "STEWARD_ARCHIVE_URL names no folder of this machine",
                "After file:// comes the whole path, which begins with a third stroke",
                "For example file:///srv/archive",
            )
        return cls(root)

    def store(self, task_id: str, name: str, content: BinaryIO) -> ArchivedFile:
        """Keep what `content` holds and return where. The same name for the same task replaces it.

        `name` may be anything: what is unsafe in it is replaced, so keep it elsewhere for people to read.

        Raises:
            StorageFull, StorageUnavailable: nothing was kept.
        """
        folder = self._folder(task_id)
        place = folder / safe_name(name)
        draft = folder / f"{_DRAFT}{_writer()}-{secrets.token_hex(8)}"
        with _in_words(f"The file '{place.name}' could not be kept"):
            self._make(folder)
            try:
                with draft.open("xb") as file:
                    os.fchmod(file.fileno(), 0o600)
                    size, sha256 = _copy(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(place)
                _sync(folder)
            finally:
                with contextlib.suppress(OSError):
                    draft.unlink(missing_ok=True)
        return ArchivedFile(str(place.relative_to(self.root)), size, sha256)

    def open(self, location: str) -> BinaryIO:
        """Return the content as a stream; what is missing is known at once.

        Raises:
            StorageUnavailable: the file is gone or cannot be read.
        """
        path = self.path(location)
        with _in_words(f"The file '{path.name}' cannot be read"):
            return path.open("rb")

    def path(self, location: str) -> Path:
        """Return the file on this machine.

        Raises:
            StorageUnavailable: `location` is none of this archive's.
        """
        path = self.root / location
        if len(Path(location).parts) != 3 or ".." in path.parts or Path(location).is_absolute():
            raise StorageUnavailable("The file cannot be read", f"'{location}' is no place in this archive")
        return path

    def remove(self, task_id: str) -> int:
        """Delete every file of the task and return how many there were.

        Raises:
            StorageUnavailable: some could not be deleted.
        """
        folder = self._folder(task_id)
        with _in_words(f"The files of the task {task_id} could not be deleted"):
            if not folder.is_dir():
                return 0
            count = sum(1 for path in folder.iterdir() if not path.name.startswith(_DRAFT))
            shutil.rmtree(folder)
            with contextlib.suppress(OSError):  # another task's folder stands in it
                folder.parent.rmdir()
        return count

    def sweep(self) -> int:
        """Delete what interrupted writers left behind; return how many drafts there were.

        What a process of this host left goes at once, what others left after an hour.
        """
        count = 0
        for draft in self.root.glob(f"*/*/{_DRAFT}*"):
            with contextlib.suppress(OSError):
                if _is_dead(draft.name) or now() / SECOND - draft.stat().st_mtime > _STALE:
                    draft.unlink()
                    count += 1
        return count

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def _folder(self, task_id: str) -> Path:
        if not re.fullmatch(r"[0-9A-Za-z_-]{2,64}", task_id):
            raise StorageUnavailable("The file could not be kept", f"'{task_id}' cannot be the id of a task")
        return self.root / task_id[:2] / task_id

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        private_files.own_folder(self.root)
        for new in (folder.parent, folder):
            private_files.make_folder(new)
            _sync(new.parent)


def _writer() -> str:
    """Return what names this process among all that may write here, on whatever host."""
    return f"{_host()}.{os.getpid()}.{processes.born(os.getpid()) or 0}"


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_dead(draft: str) -> bool:
    """Return whether a draft's name says that a process of this host wrote it, which is no more."""
    named = re.fullmatch(rf"{re.escape(_DRAFT)}([0-9a-f]+)[.](\d+)[.](\d+)-[0-9a-f]+", draft)
    return named is not None and named[1] == _host() and processes.born(int(named[2])) != int(named[3])


def safe_name(name: str) -> str:
    """Return `name` as a file name that is harmless anywhere (see `filenames.harmless`).

    Names that had to change end in eight hexadecimal digits of their SHA-256, so that different names stay different.
    """
    kept = harmless(name)
    if kept == name:
        return name
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    stem, ending = split(kept)
    room = LONGEST - len(f"-{mark}{ending}")
    return f"{stem.encode()[:room].decode(errors='ignore').rstrip(' .') or 'file'}-{mark}{ending}"


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except StorageUnavailable:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in _FULL:
            raise StorageFull(what, why, "Free some space on the data folder's disk; nothing was lost") from error
        raise StorageUnavailable(
            what, why, "See that the data folder exists and that this user may write there"
        ) from error


def _copy(content: BinaryIO, file: BinaryIO) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while chunk := content.read(PIECE):
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
