"""What the pages say of states, times and values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from steward.model.results import Artifact, Delivery, Outcome, TaskResult
from steward.model.states import State
from steward.web.pages import wording

NOW = datetime(2026, 11, 24, 14, 5, tzinfo=UTC)


def task(state: str, *outcomes: Outcome, artifacts: int = 0, **more: object) -> TaskResult:
    copies = tuple(Delivery(i, f"p{i}@example.org", o, "<m@x>") for i, o in enumerate(outcomes))
    files = tuple(Artifact(i, "f.pdf", "application/pdf", 1, "0") for i in range(artifacts))
    return TaskResult("id", "n", state, 1, NOW, NOW, deliveries=copies, artifacts=files, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_words_a_tone_and_a_group(state: State) -> None:
    said = wording.headline(task(state))
    assert said
    assert state not in (State.RETRYING, State.QUEUED, State.SUCCEEDED) or state.value not in said.lower()
    assert wording.tone(task(state)) in {"calm", "busy", "good", "warn", "bad", "quiet"}
    assert sum(state in group.states for group in wording.GROUPS) == 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_words_and_none_says_delivered(outcome: Outcome) -> None:
    said, _ = wording.OUTCOMES[outcome]
    assert said
    assert "delivered" not in said.lower()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (task("succeeded", Outcome.ACCEPTED, Outcome.ACCEPTED), "Sent"),
        (task("succeeded", Outcome.ACCEPTED, Outcome.REFUSED), "Sent to 1 of 2"),
        (task("succeeded", Outcome.CAPTURED), "Kept in the outbox"),
        (task("succeeded", Outcome.SUPPRESSED), "Done, nothing sent"),
        (task("succeeded", artifacts=1), "Ready"),
        (task("succeeded", Outcome.CAPTURED, artifacts=2), "Ready; its letter is kept in the outbox"),
        (task("succeeded", *[Outcome.CAPTURED] * 3, artifacts=1), "Ready; its letters are kept in the outbox"),
        (task("succeeded", Outcome.ACCEPTED, artifacts=1), "Ready and sent"),
        (task("succeeded", Outcome.ACCEPTED, Outcome.REFUSED, artifacts=1), "Ready and sent to 1 of 2"),
        (task("succeeded", Outcome.SUPPRESSED, artifacts=1), "Ready, nothing sent"),
        (task("succeeded"), "Done"),
        (task("failed", Outcome.REFUSED), "Not sent"),
        (task("failed", Outcome.REFUSED, Outcome.ACCEPTED), "Sent to 1 of 2"),
        (task("failed"), "Failed"),
    ],
)
def test_the_end_of_a_task_is_told_truly(given: TaskResult, said: str) -> None:
    assert wording.headline(given) == said


def test_a_servers_words_are_the_servers_and_a_captured_letters_file_is_not_told() -> None:
    refused = Delivery(1, "a@example.org", Outcome.REFUSED, "<m@x>", code=550, reply="5.1.1 no such user")
    captured = Delivery(1, "a@example.org", Outcome.CAPTURED, "<m@x>", reply="captured as 20260101-1.eml")
    assert wording.reply_words(refused) == "550 5.1.1 no such user"
    assert wording.reply_words(Delivery(1, "a@example.org", Outcome.ACCEPTED, "<m@x>", code=250)) == "250"
    assert wording.reply_words(Delivery(1, "a@example.org", Outcome.PENDING, "<m@x>")) == "–"
    assert wording.reply_words(captured).startswith("No mail server was asked")
    assert ".eml" not in wording.reply_words(captured)


def test_a_success_that_did_not_reach_all_is_not_green() -> None:
    assert wording.tone(task("succeeded", Outcome.ACCEPTED, Outcome.UNCERTAIN)) == "warn"
    assert wording.tone(task("succeeded", Outcome.ACCEPTED)) == "good"


def test_times_are_said_as_people_say_them() -> None:
    assert wording.when(NOW, NOW) == "14:05 UTC"
    assert wording.when(NOW - timedelta(days=2), NOW) == "22 November, 14:05 UTC"
    assert wording.when(NOW.replace(year=2025), NOW) == "24 November 2025, 14:05 UTC"
    assert wording.when(None) == "–"
    assert 'datetime="2026-11-24T14:05:00Z"' in wording.time_tag(NOW)


def test_times_are_those_of_the_installations_zone():
    berlin, kolkata = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
    assert wording.when(NOW, NOW, zone=berlin) == "15:05 CET"
    assert wording.when(NOW.replace(hour=23), NOW, zone=berlin) == "25 November, 00:05 CET"
    assert wording.when(NOW.replace(month=7), NOW, zone=berlin) == "24 July, 16:05 CEST"
    assert wording.when(NOW, NOW, zone=kolkata) == "19:35 IST"
    tag = wording.time_tag(NOW, berlin)
    assert 'datetime="2026-11-24T14:05:00Z"' in tag  # for programs it stays the same moment
    assert "15:05 CET" in tag
    assert "CET" in wording.headline(task("scheduled"), berlin)


def test_the_hour_that_comes_twice_is_told_apart():
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert [wording.when(m, first, zone=berlin) for m in (first, second)] == ["02:30 CEST", "02:30 CET"]


def test_spans_and_sizes() -> None:
    assert wording.span(NOW, NOW + timedelta(seconds=0.44)) == "0.4 s"
    assert wording.span(NOW, NOW + timedelta(seconds=42)) == "42 s"
    assert wording.span(NOW, NOW + timedelta(seconds=200)) == "3 min 20 s"
    assert wording.span(NOW, None) == "–"
    assert [wording.file_size(n) for n in (812, 14_200, 2_340_000)] == ["812 bytes", "14 KB", "2.3 MB"]


def test_what_was_asked_is_labelled_and_secrets_are_dots() -> None:
    schema = {
        "properties": {"grant": {"title": "Grant"}, "period": {"$ref": "#/$defs/Period"}},
        "$defs": {"Period": {"enum": ["one_quarter"]}},
    }
    payload = {
        "grant": "DOL-1",
        "period": "one_quarter",
        "to": ["a@example.org", "b@example.org"],
        "link": {"$secret": 0},
        "roster": True,
        "nothing": None,
    }
    assert wording.asked(payload, schema) == [
        ("Grant", "DOL-1"),
        ("Period", "One quarter"),
        ("To", "a@example.org\nb@example.org"),
        ("Link", "••••••••"),
        ("Roster", "Yes"),
        ("Nothing", "–"),
    ]


def test_for_whom_a_task_is() -> None:
    assert wording.whom(task("queued", payload={"email": "a@example.org"})) == "a@example.org"
    assert (
        wording.whom(task("queued", payload={"recipients": ["a@x.org", "b@x.org", "c@x.org"]})) == "a@x.org and 2 more"
    )
    assert wording.whom(task("succeeded", Outcome.ACCEPTED, payload={"email": "z@x.org"})) == "p0@example.org"
    assert wording.whom(task("queued")) == ""


def test_a_group_is_found_by_its_slug_or_a_states_name() -> None:
    waiting = wording.group_of("waiting")
    assert waiting is not None
    assert State.RETRYING in waiting.states
    single = wording.group_of("failed")
    assert single is not None
    assert single.states == (State.FAILED,)
    assert wording.group_of("nonsense") is None


def test_formats_are_spelled_as_people_know_them():
    assert [wording.label(name) for name in ("pdf", "csv", "xlsx", "member_number")] == [
        "PDF",
        "CSV",
        "Excel (XLSX)",
        "Member number",
    ]
