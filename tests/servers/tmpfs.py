"""A small disk of its own, to be filled: what a test of "no space left" needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Mount a file system of that size, yield its folder, and unmount it; where that is not allowed the test fails."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    _as_root("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        # Lazily: a process that a test has just killed may still hold a file for a moment.
        _as_root("umount", "--lazy", str(folder))
        folder.rmdir()


def fill(folder: Path, *, leave_bytes: int = 0) -> Path:
    """Write a file until at most `leave_bytes` are free, and return it; remove it to give relief."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while (free := shutil.disk_usage(folder).free) > leave_bytes:
                file.write(bytes(min(1 << 20, free - leave_bytes)))
        except OSError:
            pass  # full is what was asked for
    return ballast


def _as_root(*words: str) -> None:
    command = list(words) if os.geteuid() == 0 else ["sudo", "-n", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        why = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError as error:
        why = str(error)
    if why:
        pytest.fail(f"A small disk cannot be mounted ({why}). Run the tests as root, or with sudo.", pytrace=False)
