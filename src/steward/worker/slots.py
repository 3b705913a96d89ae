"""One process per slot: a number held by a file lock, which the kernel frees the moment its process dies.

The file names the process that holds it, and when it last showed a sign of life. Workers have slots, and so have web
servers and commands, under names of their own: whoever writes to the ledger can be found.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steward.errors import ConfigurationError
from steward.system import private_files, processes

MOST = 64
WORKER: Final = "slot"
_LENGTH: Final = 160
"""Bytes of what is written into a slot's file: always as many, so that a sign of life replaces the one before."""


@dataclass(frozen=True, slots=True)
class SlotOwner:
    """Who holds a slot: the process, when it was started (as `processes.born` says it), and its last sign of life.

    `alive_at` is in seconds of the machine's monotonic clock, which all of its processes share.
    """

    name: str
    pid: int
    born: int
    alive_at: float


class Slot:
    """A held slot. While this object lives in this process, nobody else has the number."""

    def __init__(self, number: int, descriptor: int, place: str, kind: str = WORKER) -> None:
        self.number, self._descriptor, self._place, self._kind = number, descriptor, place, kind
        self._born = processes.born(os.getpid()) or 0

    @property
    def name(self) -> str:
        """The slot as the ledger and the engine name it; another folder's slot of this number has another name."""
        return f"{self._kind}-{self.number}@{self._place}"

    def show_life(self) -> None:
        """Write into the slot's file who holds it, and that it lives. Raises OSError."""
        content = {"pid": os.getpid(), "born": self._born, "alive_at": round(time.monotonic(), 3)}
        os.pwrite(self._descriptor, json.dumps(content).ljust(_LENGTH - 1).encode() + b"\n", 0)

    def release(self) -> None:
        """Give the number back."""
        os.close(self._descriptor)


def take(folder: Path, kind: str = WORKER) -> Slot:
    """Return the lowest free slot of this kind; its file says at once who has it.

    Raises:
        ConfigurationError: all are taken, or the folder cannot be written.
    """
    for number in range(MOST):
        slot = take_number(folder, number, kind)
        if slot is not None:
            with contextlib.suppress(OSError):  # no room: it will be written when there is
                slot.show_life()
            return slot
    raise ConfigurationError(f"All {MOST} worker slots of {folder} are taken", remedy="Stop some workers first")


def take_number(folder: Path, number: int, kind: str = WORKER) -> Slot | None:
    """Return the slot `number`, or None if another process holds it."""
    private_files.own_folder(folder)
    descriptor = os.open(folder / f"{kind}-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return Slot(number, descriptor, place(folder), kind)


def place(folder: Path) -> str:
    """Return the name of `folder` among all that share a ledger: drawn once, and kept in it."""
    path = folder / "place"
    if not path.exists():
        draft = folder / f".place.{secrets.token_hex(4)}"
        private_files.make_file(draft).write_text(secrets.token_hex(4))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)  # whoever links first has drawn the name
        draft.unlink()
    return path.read_text()


def holders(folder: Path) -> list[SlotOwner]:
    """Return who holds the slots of every kind, as far as the process still runs that the file names."""
    found = []
    for path in sorted(folder.glob("*.lock")):
        try:
            said = json.loads(path.read_bytes())
            holder = SlotOwner(path.stem, int(said["pid"]), int(said["born"]), float(said["alive_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it is being written for the first time
        if processes.born(holder.pid) == holder.born:  # else the number is another's by now
            found.append(holder)
    return found


def free(folder: Path, but: int) -> list[Slot]:
    """Return every slot that has been used and that nobody holds now, taken; the caller releases them."""
    found = []
    for path in sorted(folder.glob(f"{WORKER}-*.lock")):
        number = int(path.stem.removeprefix(f"{WORKER}-"))
        if number != but:
            slot = take_number(folder, number)
            if slot is not None:
                found.append(slot)
    return found
