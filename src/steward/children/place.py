"""A number that a child writes and its parent reads, also when the child has died: which part of its work it was at.

It lies in memory that both see. To send it would wake the parent each time, which costs more than the work itself.
"""

from __future__ import annotations

import mmap
import os
from struct import Struct
from typing import Final

NOWHERE: Final = -1
_NUMBER: Final = Struct("=q")

_ours: Place | None = None


class Place:
    """The memory behind `descriptor`, which the constructor closes; 8 bytes without a name in any folder."""

    def __init__(self, descriptor: int) -> None:
        try:
            self._memory = mmap.mmap(descriptor, _NUMBER.size)
        finally:
            os.close(descriptor)

    @property
    def number(self) -> int:
        """What was set last."""
        value: int = _NUMBER.unpack_from(self._memory)[0]
        return value

    @number.setter
    def number(self, value: int) -> None:
        _NUMBER.pack_into(self._memory, 0, value)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


def memory() -> int:
    """Return the descriptor of fresh memory for a Place; duplicate it for the other side."""
    descriptor = os.memfd_create("place")
    os.ftruncate(descriptor, _NUMBER.size)
    return descriptor


def stand_at(number: int) -> None:
    """Note which part of its work this child is at now; its parent finds the number in the error if it dies there."""
    if _ours is not None:
        _ours.number = number


def note_in(place: Place) -> None:
    """Let `stand_at` write to `place`; called once, in the child."""
    global _ours  # a process has one parent
    _ours = place
