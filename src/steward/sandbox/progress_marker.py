"""Two numbers that a child and its parent share, also when the child has died or hangs.

The child writes which part of its work it is at, the parent how far it may go. They lie in memory that both see. To
send them would wake the other side each time, which costs more than the work itself.
"""

from __future__ import annotations

import mmap
import os
from struct import Struct
from typing import Final

NOWHERE: Final = -1
FAR: Final = 1 << 62
_NUMBER: Final = Struct("=q")

_ours: ProgressMarker | None = None


class ProgressMarker:
    """The memory behind `descriptor`, which the constructor closes; 16 bytes without a name in any folder."""

    def __init__(self, descriptor: int) -> None:
        try:
            self._memory = mmap.mmap(descriptor, 2 * _NUMBER.size)
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

    @property
    def end(self) -> int:
        """The first part that the child shall leave to others."""
        value: int = _NUMBER.unpack_from(self._memory, _NUMBER.size)[0]
        return value

    @end.setter
    def end(self, value: int) -> None:
        _NUMBER.pack_into(self._memory, _NUMBER.size, value)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


def memory() -> int:
    """Return the descriptor of fresh memory for a Place; duplicate it for the other side."""
    descriptor = os.memfd_create("place")
    os.ftruncate(descriptor, 2 * _NUMBER.size)
    return descriptor


def stand_at(number: int) -> bool:
    """Note which part of its work this child is at now, and return whether it shall do it.

    Its parent finds the number in the error if the child dies there. If the parent stops it at the very same moment,
    one part may be done here and elsewhere.
    """
    if _ours is None:
        return True
    _ours.number = number
    return number < _ours.end


def note_in(place: ProgressMarker) -> None:
    """Let `stand_at` write to `place`; called once, in the child."""
    global _ours  # a process has one parent
    _ours = place
