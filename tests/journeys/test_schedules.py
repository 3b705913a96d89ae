"""Schedules, maintenance and alerts in real processes: two workers, everything killed, a mail server, a webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.journeys.installation import Installation
from tests.servers.smtp_sink import SmtpSink

from steward.model.results import TaskResult
from steward.storage import schedules as rows
from steward.system.clock import SECOND, now

Install = Callable[..., Installation]
HOUR = 3600 * SECOND


class Hook:
    """A webhook that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        told = self.told

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_address[1]}/alerts"


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()


def due(place: Installation, name: str, at: int) -> None:
    """Let the schedule of this task be due at `at`, as if it had been computed so."""
    entry = place.steward.schedules.named(name).entry
    assert place.steward.ledger.apply(lambda c: rows.move(c, entry.id, entry.next_at, at))


def made(place: Installation, name: str) -> list[TaskResult]:
    return [task for task in place.tasks() if task.name == name]


def test_what_two_workers_see_due_is_done_once(install: Install) -> None:
    place = install()
    place.work()
    place.work()
    names = [each.entry.name for each in place.steward.schedules.find()]
    assert names == ["backup", "integrity_check", "purge"]
    for name in names:
        due(place, name, now())
    place.wait_until(lambda: all(made(place, name) for name in names), "each is made")
    place.wait_settled()
    notes = {name: [(t.state, t.note) for t in made(place, name)] for name in names}
    assert {name: len(found) for name, found in notes.items()} == dict.fromkeys(names, 1)
    assert {state for found in notes.values() for state, _ in found} == {"succeeded"}
    assert "no problem found" in str(notes["integrity_check"])
    assert "verified" in str(notes["backup"])
    assert "more than 365 days ago" in str(notes["purge"])
    latest = [each.last.outcome for each in place.steward.schedules.find() if each.last]
    assert latest == ["fired"] * 3


def test_what_was_missed_and_what_fails_is_told_once_by_letter_and_by_call(
    install: Install, smtp_sink: Callable[..., SmtpSink], hook: Hook
) -> None:
    sink = smtp_sink()
    place = install(
        smtp_url=sink.url,
        alert_to="ops@example.org",
        alert_urls=hook.url,
        base_url="https://steward.example.org",
        mail_from="Steward <steward@example.org>",
    )
    place.work().kill9()
    due(place, "purge", now() - 3 * HOUR)
    place.work()
    # One after the other: what is ripe at the same look is told in one letter.
    place.wait_until(lambda: len(sink.messages()) >= 1 and len(hook.told) >= 1, "what was missed is told", 60)
    failing = place.enqueue_many("fail", [{"number": n} for n in range(100)])
    place.wait_until(lambda: len(sink.messages()) >= 2 and len(hook.told) >= 2, "both are told", 60)
    place.wait_settled()

    # The missed schedule was made up for once, and goes on.
    assert [task.state for task in made(place, "purge")] == ["succeeded"]
    standing = place.steward.schedules.named("purge")
    assert (standing.last.outcome, standing.last.task_id) == ("missed", made(place, "purge")[0].id)
    assert standing.entry.next_at > now()

    letters = {mail.message["subject"]: mail for mail in sink.messages()}
    assert sorted(letters) == ["Fail failed 100 times", "Purge was not made on time"]
    assert {mail.recipients for mail in sink.messages()} == {("ops@example.org",)}
    assert len(sink.messages()) == 2
    text = letters["Fail failed 100 times"].message.get_body(("plain",)).get_content()
    assert "it cannot be done" in text
    linked = [line.rpartition("/")[2] for line in text.splitlines() if "/tasks/" in line]
    assert len(linked) == 1
    assert linked[0] in failing
    assert "/schedules" in letters["Purge was not made on time"].message.get_body(("plain",)).get_content()

    assert len(hook.told) == 2
    told = next(each for each in hook.told if "Fail failed 100 times" in each["title"])
    assert linked[0] in told["message"]
