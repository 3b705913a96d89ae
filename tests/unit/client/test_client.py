"""The client repeats only what does nothing twice, and gives back what the service means: errors, tasks, files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field

from steward import Secret
from steward.client import Client
from steward.client.codec import as_json
from steward.errors import (
    InvalidPayload,
    InvalidRequest,
    KeyConflict,
    NotFinished,
    NotFound,
    NotPermitted,
    RateLimited,
    StewardError,
    StorageUnavailable,
    UnknownFile,
    UnknownSchedule,
    UnknownTask,
    Unreachable,
)
from steward.model.results import Outcome

TASK = {
    "id": "0190",
    "name": "letter",
    "state": "running",
    "attempt": 1,
    "created_at": "2026-11-24T15:00:00.000Z",
    "due_at": "2026-11-24T15:00:00.000Z",
    "started_at": None,
    "finished_at": None,
    "expires_at": None,
    "progress": 0.5,
    "progress_text": "Half",
    "error": None,
    "note": None,
    "figures": {"letters": 3, "amount": "0.10", "whole": True},
    "deliveries": [],
    "artifacts": [],
    "of_a_later_version": True,
}
DELIVERY = {
    "to": "ada@example.org",
    "outcome": "accepted",
    "code": 250,
    "reply": "ok",
    "message_id": "<1@x>",
    "subject": "S",
    "possible_duplicate": False,
    "at": "2026-11-24T15:00:01.000Z",
}


class Asked(NamedTuple):
    """A request that reached the server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | None


@pytest.fixture
def server() -> Iterator[Callable[..., tuple[str, list[Asked]]]]:
    """Starts a server that gives the answers it is called with, in order, the last one for ever; None hangs up."""
    servers = []

    def start(*answers: Answer) -> tuple[str, list[Asked]]:
        asked: list[Asked] = []

        class Scripted(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append(Asked(self.command, self.path, dict(self.headers), body))
                answer = answers[min(len(asked), len(answers)) - 1]
                if answer is None:
                    self.close_connection = True
                    return
                status, content, *more = answer
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        made = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(made)
        return f"http://127.0.0.1:{made.server_port}", asked

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def problem(kind: str, status: int, **more: Any) -> Answer:
    document = {"type": f"http://x/problems/{kind}", "title": "T", "status": status, "detail": "It failed.", **more}
    return status, document | {"remedy": "Mend it."}


BUSY = problem("storage-unavailable", 503)


def test_a_hand_over_with_a_key_is_repeated_with_that_key(server):
    url, asked = server(None, BUSY, (202, TASK))
    with Client(url, "stw_x") as client:
        assert client.enqueue("letter", to="ada@example.org", key="once") == "0190"
    assert [each.headers["Idempotency-Key"] for each in asked] == ["once"] * 3
    assert {each.body for each in asked} == {b'{"to": "ada@example.org"}'}
    assert asked[0].headers["Authorization"] == "Bearer stw_x"


@pytest.mark.parametrize(("answer", "error"), [(None, Unreachable), (BUSY, StorageUnavailable)])
def test_a_hand_over_without_a_key_is_never_repeated(server, answer, error):
    url, asked = server(answer)
    with Client(url, "stw_x") as client, pytest.raises(error):
        client.enqueue("letter", to="ada@example.org")
    assert len(asked) == 1


def test_what_was_refused_is_not_repeated(server):
    url, asked = server(problem("key-conflict", 409))
    with Client(url, "stw_x") as client, pytest.raises(KeyConflict, match=r"It failed\. Mend it\."):
        client.enqueue("letter", key="once")
    assert len(asked) == 1


def test_a_question_is_repeated_until_patience_ends(server):
    url, asked = server(BUSY)
    with Client(url, "stw_x", patience=0.5) as client, pytest.raises(StorageUnavailable):
        client.get("0190")
    assert 2 <= len(asked) <= 5


def test_a_service_that_is_not_there_is_said_in_words():
    with Client("http://127.0.0.1:1", "stw_x", patience=0) as client, pytest.raises(Unreachable) as unreachable:
        client.get("0190")
    assert "http://127.0.0.1:1" in unreachable.value.what
    assert "stw_x" not in str(unreachable.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (problem("unknown-task", 404), UnknownTask),
        (problem("unknown-file", 404), UnknownFile),
        (problem("unknown-schedule", 404), UnknownSchedule),
        (problem("not-found", 404), NotFound),
        (problem("unknown-to-this-version", 404), NotFound),
        (problem("not-signed-in", 401), NotPermitted),
        (problem("missing-scope", 403), NotPermitted),
        (problem("malformed-body", 400), InvalidRequest),
        (problem("of-a-later-version", 422), InvalidRequest),
        (problem("internal", 500), StewardError),
        ((200, b"<html>a proxy's page</html>"), StewardError),
        ((502, b"<html>bad gateway</html>"), Unreachable),
        ((404, b"not ours"), StewardError),
    ],
)
def test_each_answer_becomes_the_error_it_means(server, answer, error):
    url, _ = server(answer)
    with Client(url, "stw_x", patience=0) as client, pytest.raises(error):
        client.get("0190")


def test_the_problems_of_fields_and_the_time_to_wait_come_along(server):
    wrong = {"field": "tow", "message": "there is no such field", "nearest": "to"}
    url, _ = server(
        problem("invalid-payload", 422, errors=[wrong]), (429, problem("rate-limited", 429)[1], {"Retry-After": "7"})
    )
    with Client(url, "stw_x") as client:
        with pytest.raises(InvalidPayload) as refused:
            client.enqueue("letter", tow=1)
        assert [(p.field, p.nearest) for p in refused.value.problems] == [("tow", "to")]
        with pytest.raises(RateLimited) as limited:
            client.enqueue("letter", to=1)
        assert limited.value.retry_after == 7


def test_a_task_comes_back_as_what_it_is(server):
    url, _ = server((200, TASK | {"deliveries": [DELIVERY]}))
    with Client(url, "stw_x") as client:
        task = client.get("0190")
    assert (task.created_at, task.progress, task.finished) == (datetime(2026, 11, 24, 15, tzinfo=UTC), 0.5, False)
    assert task.deliveries[0].outcome is Outcome.ACCEPTED
    assert task.as_json() == {k: v for k, v in TASK.items() if k != "of_a_later_version"} | {"deliveries": [DELIVERY]}


def test_waiting_has_an_end_and_the_task_goes_on(server):
    url, _ = server((200, TASK))
    with Client(url, "stw_x") as client, pytest.raises(NotFinished, match=r"still running after 0\.2 seconds"):
        client.wait("0190", timeout=0.2)


def test_waiting_ends_with_the_task(server):
    url, asked = server((200, TASK), (200, TASK), (200, TASK | {"state": "failed", "error": "No."}))
    with Client(url, "stw_x") as client:
        assert client.wait("0190").error == "No."
    assert len(asked) == 3


def test_options_travel_beside_the_payload(server):
    url, asked = server((202, TASK))
    with Client(url, "stw_x") as client:
        client.enqueue("letter", {"priority": "a field"}, priority=5, run_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert asked[0].path == "/v1/tasks/letter?run_at=2026-12-01T00%3A00%3A00%2B00%3A00&priority=5"
    assert json.loads(asked[0].body) == {"priority": "a field"}


def test_a_payload_is_given_once(server):
    url, asked = server((202, TASK))
    with Client(url, "stw_x") as client, pytest.raises(InvalidPayload, match="twice"):
        client.enqueue("letter", {"to": "a"}, to="b")
    assert not asked


def test_no_page_is_asked_for_beyond_the_limit(server):
    url, asked = server((200, {"tasks": [TASK, TASK], "next_cursor": "c"}))
    with Client(url, "stw_x") as client:
        assert len(list(client.find(limit=2))) == 2
    assert [each.path for each in asked] == ["/v1/tasks?limit=2"]


def test_every_page_is_followed(server):
    page = {"tasks": [TASK, TASK], "next_cursor": "c"}
    url, asked = server((200, page), (200, page), (200, page | {"next_cursor": None}))
    with Client(url, "stw_x") as client:
        assert len(list(client.find(states=["failed"], limit=600))) == 6
    assert asked[0].path == "/v1/tasks?state=failed&limit=500"
    assert [each.path.rpartition("?")[2] for each in asked[1:]] == ["state=failed&cursor=c&limit=500"] * 2


def artifact(content: bytes) -> dict[str, Any]:
    return {
        "n": 0,
        "name": "report.csv",
        "media_type": "text/csv",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_a_file_is_saved_whole_under_its_own_name(server, tmp_path):
    url, _ = server((200, TASK | {"artifacts": [artifact(b"1,2")]}), (200, b"1,2"))
    with Client(url, "stw_x") as client:
        path = client.download("0190", 0, tmp_path)
    assert path == tmp_path / "report.csv"
    assert path.read_bytes() == b"1,2"


def test_a_file_that_was_altered_on_its_way_is_not_there(server, tmp_path):
    url, _ = server((200, TASK | {"artifacts": [artifact(b"1,2")]}), (200, b"1,3"))
    with Client(url, "stw_x") as client, pytest.raises(Unreachable, match="did not arrive as it was kept"):
        client.download("0190", 0, tmp_path / "mine.csv")
    assert not list(tmp_path.iterdir())


def test_a_file_that_the_task_does_not_have_is_not_asked_for(server, tmp_path):
    url, asked = server((200, TASK))
    with Client(url, "stw_x") as client, pytest.raises(UnknownFile, match="no file number 3"):
        client.download("0190", 3, tmp_path)
    assert len(asked) == 1


class Size(StrEnum):
    small = "s"


class Inner(BaseModel):
    day: date


class Whole(BaseModel):
    link: Secret
    amount: Decimal
    size: Size
    inner: Inner
    tags: set[str]
    sent: datetime = Field(alias="sentAt")


def test_a_model_travels_with_everything_in_it():
    whole = Whole(
        link=Secret("https://x"),
        amount=Decimal("1.50"),
        size=Size.small,
        inner=Inner(day=date(2026, 1, 2)),
        tags={"a"},
        sentAt=datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert json.loads(as_json([whole])) == [
        {
            "link": "https://x",
            "amount": "1.50",
            "size": "s",
            "inner": {"day": "2026-01-02"},
            "tags": ["a"],
            "sentAt": "2026-01-02T00:00:00+00:00",
        }
    ]
