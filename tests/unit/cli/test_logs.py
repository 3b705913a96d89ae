"""The log has one line for each event, and no secret."""

from __future__ import annotations

import logging
import sys

import pytest

from steward.errors import ConfigurationError
from steward.system.log_line import LogLineFormatter
from steward.system.masking import masked


def line(message: str, error: BaseException | None = None, *, frames: bool = False) -> str:
    information = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("steward.some", logging.WARNING, __file__, 1, message, (), information)
    return LogLineFormatter(frames=frames).format(record)


def caught(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error):
        found = sys.exc_info()[1]
    assert found is not None
    return found


def test_an_event_is_one_line_whatever_it_says():
    assert line("one\ntwo").endswith("Z warning steward.some: one two")


def test_an_error_with_words_has_no_frames_and_another_its_place():
    known = line("it failed", caught(ConfigurationError("No mail server is set", "Why", "Set it")))
    assert known.endswith("it failed (No mail server is set. Why. Set it.)")
    unknown = line("it failed", caught(ValueError("a\nb")))
    assert "it failed (ValueError: a b, test_logs.py line " in unknown
    assert "\n" not in unknown


def test_frames_are_shown_where_they_are_asked_for():
    assert "Traceback" in line("it failed", caught(ValueError("a")), frames=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("smtp://ada:pa:ss@mail.example.org:587", "smtp://ada:***@mail.example.org:587"),
        ("amqp://guest:guest@broker//", "amqp://guest:***@broker//"),
        ("key stw_" + "a" * 43 + " used", "key stw_*** used"),
        ("GET /sign-in/" + "b" * 43, "GET /sign-in/***"),
        ("http://127.0.0.1:8480/v1/tasks", "http://127.0.0.1:8480/v1/tasks"),
    ],
)
def test_passwords_keys_and_links_are_masked(text, shown):
    assert masked(text) == shown
