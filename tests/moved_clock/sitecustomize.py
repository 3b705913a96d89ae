"""Moves the clock on the wall of every Python process that finds this on its path by MOVED_CLOCK seconds."""

from __future__ import annotations

import os
import time

_AHEAD = int(os.environ.get("MOVED_CLOCK", "0"))
_now, _now_ns = time.time, time.time_ns
time.time = lambda: _now() + _AHEAD
time.time_ns = lambda: _now_ns() + _AHEAD * 1_000_000_000
