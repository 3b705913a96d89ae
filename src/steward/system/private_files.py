"""Files for this user alone: the mode of what a process makes (its umask), and of what is made in somebody else's."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

UMASK: Final = 0o077
"""Takes every right from the group and from others; what libraries make in a process of ours is private by it."""
FILE: Final = 0o600
FOLDER: Final = 0o700

_given: int | None = None


def begin() -> None:
    """Make private whatever this process makes from now on, and its children. For processes of Steward's own alone."""
    global _given  # a process has one umask
    before = os.umask(UMASK)
    _given = before if _given is None else _given


@contextmanager
def as_usual() -> Iterator[None]:
    """Let files have the modes that the user's own umask gives while the block lasts: those that a command was asked
    to write at a place of the user's, for instance for the user under whom the service runs."""
    if _given is None:
        yield
        return
    before = os.umask(_given)
    try:
        yield
    finally:
        os.umask(before)


def make_folder(path: Path) -> Path:
    """Return `path`, made with mode 0700 if it is missing, and so every missing folder above it.

    Raises:
        OSError: it cannot be made.
    """
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            each.mkdir(mode=FOLDER, exist_ok=True)
    return path


def own_folder(path: Path) -> Path:
    """Return `path`, a folder that Steward alone writes to; as `make_folder`, and narrowed if others may look in."""
    narrow(make_folder(path))
    return path


def make_file(path: Path) -> Path:
    """Return `path`, an empty file with mode 0600 if it is missing; narrowed if it is there and others may read it.

    Raises:
        OSError: it cannot be made.
    """
    try:
        # Made without being opened: to close a store's file would end the locks of whoever has it open in this process.
        os.mknod(path, stat.S_IFREG | FILE)
    except FileExistsError:
        narrow(path)
    return path


def make_store(path: Path) -> None:
    """Make ready the file of a database of SQLite, which gives the mode of the file to all that it makes beside it.

    Raises:
        OSError: it cannot be made.
    """
    make_file(path)
    for ending in ("-wal", "-shm", "-journal"):
        narrow(path.with_name(path.name + ending))


def narrow(path: Path) -> None:
    """Take the rights of the group and of others from what is there; say so in the log where that is not allowed."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & UMASK:
            path.chmod(mode & ~UMASK)
    except FileNotFoundError:
        return
    except OSError as error:  # somebody else's file, or a file system without modes
        log.warning("others may read %s, and that cannot be changed: %s", path.name, error.strerror)
