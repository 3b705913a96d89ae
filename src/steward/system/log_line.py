"""Writes an event of the log as one line, for people or as JSON: no secret, no address, no control character.

`about` says which task a line is about; such fields stand at the end of a line, or as members of the JSON object.
"""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from pathlib import Path
from typing import Any, Final

from steward.errors import StewardError
from steward.system.masking import masked

FIELDS: Final = ("task", "name", "attempt")
LONGEST: Final = 16_000
_PREFIX: Final = "steward_"
FROM_CHILD: Final = "\x1e"
"""Begins a line of a child's standard error that is an event of its log, as JSON; its parent logs it as its own."""

_ADDRESS: Final = re.compile(
    r"""(?:"[^"]{0,64}"|[^\s@<>"'(),;:\[\]*\\/=]{1,128})@"""
    r"""(?!\d+[.]?(?:$|[\s@<>"'(),;:\[\]*]))"""  # a number alone is no domain: worker ids end so, slot-0@7311
    r"""(?=[^\s@<>"'(),;:\[\]*]*[^\W_])"""
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+|[\ud800-\udfff]")


def about(task: str, name: str = "", attempt: int | None = None) -> dict[str, Any]:
    """Return the `extra` of a line about a task: its id, the name of its handler, and the number of the attempt."""
    return {f"{_PREFIX}task": task, f"{_PREFIX}name": name, f"{_PREFIX}attempt": attempt}


def clean(text: str) -> str:
    """Return `text` as it may stand in a line: without secrets, people's addresses and control characters, and cut."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    text = _CONTROLS.sub(" ", text)
    return _ADDRESS.sub("***@", masked(text)) if "@" in text else masked(text)


class LogLineFormatter(logging.Formatter):
    """Writes an event as one line: time in UTC, severity, who says it, and what; frames only at level debug."""

    converter = staticmethod(time.gmtime)

    def __init__(self, *, frames: bool = False) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._frames = frames
        self._second, self._time = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = f"{self.moment(record)}Z {record.levelname.lower():<7} {record.name}: {_said(record)}"
        fields = _fields(record)
        if fields:
            line += f" ({', '.join(f'{name} {value}' for name, value in fields.items())})"
        error = record.exc_info[1] if record.exc_info else None
        if self._frames and error is not None and not isinstance(error, StewardError):
            frames = "".join(traceback.format_exception(error)).rstrip().split("\n")
            line += "\n" + "\n".join(f"    {clean(each)}" for each in frames)  # nothing but an event begins a line
        return line

    def moment(self, record: logging.LogRecord) -> str:
        """Return when it happened, to the second in UTC."""
        second = int(record.created)
        if second != self._second:
            self._second, self._time = second, self.formatTime(record, self.datefmt)
        return self._time


class JsonLogFormatter(LogLineFormatter):
    """Writes an event as one JSON object: `time`, `level`, `logger`, `message`, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event: dict[str, Any] = {
            "time": f"{self.moment(record)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _said(record),
            **_fields(record),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            event["error"] = type(error).__name__
            if self._frames:
                event["frames"] = [clean(each) for each in traceback.format_exception(error)]
        return json.dumps(event, ensure_ascii=False)


class SandboxLogFormatter(LogLineFormatter):
    """Writes an event of a child for its parent, which logs it: severity, who says it, what, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return FROM_CHILD + json.dumps([record.levelno, record.name, _said(record), _fields(record)])


def log_for_parent() -> None:
    """Let what this child process logs become lines of its parent's log; call it once, at the child's start."""
    handler = logging.StreamHandler()
    handler.setFormatter(SandboxLogFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def relay(text: str) -> bool:
    """Log what a child has written for its parent; return whether it was that."""
    if not text.startswith(FROM_CHILD):
        return False
    try:
        level, name, message, fields = json.loads(text[1:])
        extra = about(str(fields.get("task", "")), str(fields.get("name", "")), fields.get("attempt"))
        logging.getLogger(str(name)).log(min(int(level), logging.CRITICAL), "%s", message, extra=extra)
    except (ValueError, TypeError, AttributeError, RecursionError):  # a handler printed something that looks alike
        return False
    return True


def _said(record: logging.LogRecord) -> str:
    line = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, StewardError):
        line += f" ({error})"
    elif error is not None:
        line += f" ({type(error).__name__}: {error}{_place(error)})"
    return " ".join(clean(line).split())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = record.__dict__
    if f"{_PREFIX}task" not in found:
        return {}
    given = ((name, found.get(_PREFIX + name)) for name in FIELDS)
    return {name: value for name, value in given if value not in ("", None)}


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
