"""What goes wrong is told in words, and by an exit code."""

from __future__ import annotations

import pytest

from steward import errors
from steward.cli.error_messages import exit_code_of, tell


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidPayload("x"), 2),
        (errors.StateConflict("x"), 2),
        (errors.NotPermitted("x"), 2),
        (errors.ConfigurationError("x"), 2),
        (errors.NewerStore("x"), 2),
        (errors.UnknownHandler("x"), 3),
        (errors.UnknownTask("x"), 3),
        (errors.UnknownFile("x"), 3),
        (errors.UnknownSchedule("x"), 3),
        (errors.UnknownKey("x"), 3),
        (errors.UnknownUser("x"), 3),
        (errors.StorageUnavailable("x"), 4),
        (errors.StorageFull("x"), 4),
        (errors.SourceUnavailable("x"), 4),
        (errors.BrokerUnavailable("x"), 4),
        (errors.Unreachable("x"), 4),
        (errors.NotFinished("x"), 1),
        (errors.TaskError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_code_of(error) == code


def test_an_error_is_told_as_what_why_and_remedy(capsys):
    tell("Port 80 is taken", "", "Take another?")
    assert capsys.readouterr().err == "steward: Port 80 is taken.\n  Take another?\n"
