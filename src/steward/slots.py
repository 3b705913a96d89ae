"""One worker per slot: a number held by a file lock, which the kernel frees the moment its process dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from steward.errors import ConfigurationError

MOST = 64


class Slot:
    """A held slot. While this object lives in this process, nobody else has the number."""

    def __init__(self, number: int, descriptor: int, place: str) -> None:
        self.number, self._descriptor, self._place = number, descriptor, place

    @property
    def name(self) -> str:
        """The slot as the ledger and the engine name it; another folder's slot of this number has another name."""
        return f"slot-{self.number}@{self._place}"

    def release(self) -> None:
        """Give the number back."""
        os.close(self._descriptor)


def take(folder: Path) -> Slot:
    """Return the lowest free slot.

    Raises:
        ConfigurationError: all are taken, or the folder cannot be written.
    """
    for number in range(MOST):
        slot = take_number(folder, number)
        if slot is not None:
            return slot
    raise ConfigurationError(f"All {MOST} worker slots of {folder} are taken", remedy="Stop some workers first")


def take_number(folder: Path, number: int) -> Slot | None:
    """Return the slot `number`, or None if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"slot-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return Slot(number, descriptor, place(folder))


def place(folder: Path) -> str:
    """Return the name of `folder` among all that share a ledger: drawn once, and kept in it."""
    path = folder / "place"
    if not path.exists():
        draft = folder / f".place.{secrets.token_hex(4)}"
        draft.write_text(secrets.token_hex(4))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)  # whoever links first has drawn the name
        draft.unlink()
    return path.read_text()


def free(folder: Path, but: int) -> list[Slot]:
    """Return every slot that has been used and that nobody holds now, taken; the caller releases them."""
    found = []
    for path in sorted(folder.glob("slot-*.lock")):
        number = int(path.stem.removeprefix("slot-"))
        if number != but:
            slot = take_number(folder, number)
            if slot is not None:
                found.append(slot)
    return found
