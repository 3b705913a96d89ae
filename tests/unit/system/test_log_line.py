"""A line of the log: one for each event, for people or for programs, with nobody's address and nothing that steers."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from steward.system import log_line
from steward.system.log_line import JsonLogFormatter, LogLineFormatter, SandboxLogFormatter, about


def record(message: str, *, error: BaseException | None = None, **fields: object) -> logging.LogRecord:
    information = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("steward.some", logging.WARNING, __file__, 1, message, (), information)
    made.__dict__.update(fields)
    return made


def raised(message: str) -> BaseException:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


HOSTILE = {
    "escapes of a terminal": "\x1b[31mred\x1b[0m",
    "a NUL": "a\x00b",
    "C1": "a\x9bb\x85c",
    "another line": "a\r\n2026-01-01T00:00:00Z error steward: forged",
    "Unicode's line ends": "a\u2028b\u2029c",
    "text that runs backwards": "a\u202eb\u2066c",
    "half of a pair": "a\ud800b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "formatter", [LogLineFormatter(), LogLineFormatter(frames=True), JsonLogFormatter()], ids=["text", "debug", "json"]
)
@pytest.mark.parametrize("place", ["message", "error"])
def test_nothing_steers_a_terminal_or_makes_a_line_of_its_own(text, formatter, place):
    line = formatter.format(record(text) if place == "message" else record("x", error=raised(text)))
    first = line if "Traceback" not in line else line.replace("\n", "")
    assert first.isprintable() or not [c for c in first if ord(c) < 32 or 127 <= ord(c) < 160]
    assert "\n2026-01-01" not in line
    line.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no letter for ada@example.org today", "no letter for ***@example.org today"),
        ("worker vm/slot-0@7311 is ready", "worker vm/slot-0@7311 is ready"),
        ("worker host-1.example.org/celery-2@40 has left.", "worker host-1.example.org/celery-2@40 has left."),
        ("slot-0@7311.", "slot-0@7311."),
        ("ada@10.0.0.1 and ada@7311.example", "***@10.0.0.1 and ***@7311.example"),
        ("<ada.lovelace+x@example.org>: unknown", "<***@example.org>: unknown"),
        ('"a b"@example.org', "***@example.org"),
        ("zoë@exämple.org", "***@exämple.org"),
        ("smtp://ada:secret@mail.example.org:587", "smtp://ada:***@mail.example.org:587"),
        ("at 12:00 @ noon", "at 12:00 @ noon"),
    ],
)
def test_nobodys_address_is_shown(text, shown):
    assert shown in LogLineFormatter().format(record(text))
    assert shown in json.loads(JsonLogFormatter().format(record(text)))["message"]


def test_an_exception_is_one_record_with_nobodys_address():
    line = LogLineFormatter().format(record("it failed", error=raised("ada@example.org\nhas\x1b none")))
    assert "it failed (ValueError: ***@example.org has none, test_log_line.py line" in line
    event = json.loads(JsonLogFormatter().format(record("it failed", error=raised("ada@example.org"))))
    assert (event["error"], event["level"], event["logger"]) == ("ValueError", "warning", "steward.some")


def test_a_line_about_a_task_names_it():
    made = record("succeeded", **about("01a2", "welcome_email", 2))
    assert LogLineFormatter().format(made).endswith("succeeded (task 01a2, name welcome_email, attempt 2)")
    event = json.loads(JsonLogFormatter().format(made))
    assert (event["task"], event["name"], event["attempt"]) == ("01a2", "welcome_email", 2)
    assert "attempt" not in json.loads(JsonLogFormatter().format(record("accepted", **about("01a2", "x"))))


def test_a_line_has_an_end():
    assert len(LogLineFormatter().format(record("a@b " * 1_000_000))) < 40_000


def test_what_a_child_logs_its_parent_logs_as_its_own(caplog):
    written = SandboxLogFormatter().format(record("one\ntwo", error=raised("ada@example.org"), **about("01a2", "x", 3)))
    assert "\n" not in written
    with caplog.at_level(logging.INFO):
        assert log_line.relay(written)
    (made,) = caplog.records
    assert (made.name, made.levelno) == ("steward.some", logging.WARNING)
    assert json.loads(JsonLogFormatter().format(made))["task"] == "01a2"
    assert "one two (ValueError: ***@example.org" in made.getMessage()


@pytest.mark.parametrize(
    "text", ["", "x", "\x1e", "\x1e[1]", '\x1e{"a": 1}', '\x1e["x", "y", "z", 5]', "\x1e" + "[" * 100_000]
)
def test_what_only_looks_like_an_event_is_what_a_handler_printed(text):
    assert not log_line.relay(text)


def test_a_child_writes_for_its_parent(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    try:
        log_line.log_for_parent()
        logging.getLogger("steward.some").info("here")
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
    assert written.getvalue().startswith(log_line.FROM_CHILD)
