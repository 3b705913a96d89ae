"""Tasks are sent, found, followed and stopped from the command line, and every mistake is answered in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from steward.cli.output import say_task
from steward.model.results import TaskResult

pytestmark = pytest.mark.slow


def test_scheduled_tasks_are_found_by_pages_and_cancelled(steward):
    sent = [
        steward("send", "urgent_letter", "--to", f"{n}@example.org", "--run-at", "2h", "--json").json["id"]
        for n in range(2)
    ]
    wanted = ("tasks", "--name", "urgent_letter", "--state", "scheduled", "--limit", "1", "--json")
    first = steward(*wanted).json
    second = steward(*wanted, "--cursor", first["next_cursor"]).json
    assert [task["id"] for task in (*first["tasks"], *second["tasks"])] == sent[::-1]
    assert second["next_cursor"] is None
    assert steward("cancel", *sent).code == 0
    assert not steward(*wanted).json["tasks"]
    refused = steward("cancel", sent[0])
    assert refused.code == 2
    assert "The task is cancelled" in refused.err


def test_a_key_makes_one_task_and_refuses_another_payload(steward):
    once = ("send", "letter", "--to", "ada@example.org", "--key", "once", "--json")
    assert steward(*once).json["id"] == steward(*once).json["id"]
    other = steward(*once, "--number", "2")
    assert other.code == 2
    assert "key" in other.err


def test_a_span_under_a_key_means_the_same_at_each_repeat(steward):
    once = (
        "send",
        "letter",
        "--to",
        "ada@example.org",
        "--key",
        "span",
        "--run-at",
        "2h",
        "--expires-at",
        "3d",
        "--json",
    )
    first = steward(*once).json
    assert steward(*once).json == first
    for other in (once[:-3], (*once[:6], "--run-at", "3h", *once[8:])):
        assert steward(*other).code == 2
    elsewhere = steward(*once, "--url", "http://127.0.0.1:9", "--api-key", "stw_x")
    assert elsewhere.code == 2
    assert "A key and a span from now do not go together with --url." in " ".join(elsewhere.err.split())


def test_whoever_waits_where_nobody_works_is_told(steward):
    done = steward("send", "letter", "--to", "ada@example.org", "--wait", "--within", "0")
    assert done.code == 1
    assert "No worker is running." in done.err
    assert "It has not ended within 0 seconds." in done.err
    assert "state     queued" in done.out


def test_what_a_task_did_is_printed_in_words_and_figures(steward):
    made = steward("preview", "nothing")
    assert made.out.splitlines()[-4:] == ["Done.", "  number: 0", "  share: 0.10", "  whole: yes"]
    assert steward("preview", "nothing", "--json").json["task"]["figures"] == {
        "number": 0, "share": "0.10", "whole": True,
    }  # fmt: skip


def test_the_figures_of_a_task_stand_in_its_status(capsys):
    at = datetime(2026, 11, 24, 15, tzinfo=UTC)
    say_task(TaskResult("0190", "tidy", "succeeded", 1, at, at, note="Tidied.", figures={"tasks_gone": 3, "all": True}))
    assert "  figures   tasks gone: 3; all: yes\n" in capsys.readouterr().out


def test_a_terminal_is_not_redrawn_by_what_somebody_wrote(steward):
    task = steward("send", "letter", "--to", "ada@example.org", "--json").json
    shown = steward("tasks", "--text", "\x1b[2J")
    assert shown.out == "There are no such tasks.\n"
    assert task["id"] in steward("tasks").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("send", "leter", "--to", "a@example.org"), 3, "Did you mean 'letter'?"),
        (("send", "letter", "--tow", "a@example.org"), 2, "did you mean 'to'?"),
        (("send", "letter", "--to", "nobody"), 2, "to"),
        (("send", "letter", "--to", "a@example.org", "--run-at", "soon"), 2, "--run-at cannot be used"),
        (("status", "0190"), 3, "There is no task '0190'"),
        (("retry", "0190"), 3, "There is no task '0190'"),
        (("tasks", "--state", "lost"), 2, "There is no state 'lost'"),
        (("key", "revoke", "nobody"), 3, "There is no key 'nobody' in use"),
        (("key", "create", "x", "--scope", "all"), 2, "The scopes are send, read, reports, operate"),
        (("purge",), 2, "--older-than DAYS or --person ADDRESS"),
        (("purge", "--older-than", "0"), 2, "--yes"),
        (("backup", "--verify", "nowhere"), 2, "nowhere is not a backup"),
        (("preview", "leter"), 3, "Did you mean 'letter'?"),
        (("plugin", "new", "Letter"), 2, "cannot be named 'Letter'"),
        (("--env-file", "nowhere", "tasks"), 2, "nowhere is not there"),
        (("serves",), 2, "No such command 'serves'"),
        (("send",), 2, "Missing argument"),
    ],
)
def test_a_mistake_is_answered_in_words_and_by_its_exit_code(steward, words, code, said):
    done = steward(*words)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert not done.out
