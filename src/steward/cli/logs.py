"""Sets up the log: one line for each event on standard error, no traceback for what has words, and no secret."""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from pathlib import Path

from steward.errors import StewardError

SECRETS = (
    (re.compile(r"(://[^:/@\s]*):(?!password@)[^@/\s]+@"), r"\1:***@"),
    (re.compile(r"\bstw_[A-Za-z0-9_-]{20,}"), "stw_***"),
    (re.compile(r"(/sign-in/)[A-Za-z0-9_-]{20,}"), r"\1***"),
)
"""Passwords in addresses of servers, keys, and sign-in links: never logged, whoever logs them.

The word "password" itself stands in examples.
"""

NOISY = ("httpx", "httpcore", "alembic", "dbos", "weasyprint", "fontTools", "kombu", "amqp")


class LineFormatter(logging.Formatter):
    """Writes an event as one line: time in UTC, severity, who says it, and what; frames only at level debug."""

    converter = staticmethod(time.gmtime)

    def __init__(self, *, frames: bool = False) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._frames = frames

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        error = record.exc_info[1] if record.exc_info else None
        line = f"{self.formatTime(record, self.datefmt)}Z {record.levelname.lower():<7} {record.name}: "
        line += " ".join(record.getMessage().split())
        if isinstance(error, StewardError):
            line += f" ({error})"
        elif error is not None:
            line += f" ({type(error).__name__}: {' '.join(str(error).split())}{_place(error)})"
            if self._frames:
                line += "\n" + "".join(traceback.format_exception(error)).rstrip()
        return masked(line)


def masked(text: str) -> str:
    """Return `text` without passwords, keys and sign-in links."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def set_up(level: str) -> None:
    """Send every log line of this process to standard error; call it once, at the start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(frames=level == "debug"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Uvicorn's own words about its start and end double ours.
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
