"""What a process uses, as the kernel tells it (proc(5)); nothing of one that is gone."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

_PAGE: Final = resource.getpagesize()
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def processor(pid: int) -> float:
    """Return the seconds of processor time that the process has used so far (utime and stime)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else 0.0


def memory(pid: int) -> tuple[int, int]:
    """Return the bytes that the process holds in memory, and those of its data and stack."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    resident = int(fields[1]) * _PAGE if fields else 0
    return resident, int(fields[5]) * _PAGE if len(fields) > 5 else 0
