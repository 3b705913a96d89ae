"""A disk that is full, or fails: refused at once and in words, nothing accepted falsely, and well again by itself."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import httpx
from tests.journeys.installation import Installation
from tests.journeys.sending import account, sending
from tests.servers.smtp_sink import SmtpSink
from tests.servers.tmpfs import fill, small_disk

from steward.storage.archive import checksum

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


def refused(answer: httpx.Response) -> None:
    """The answer says in words that nothing was accepted, and why."""
    assert answer.status_code in (503, 507), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "room" in answer.json()["detail"] or "store" in answer.json()["detail"]
    assert answer.json()["remedy"]
    assert "Traceback" not in answer.text


def judge(house: Installation, sink: SmtpSink, fail: Callable[[], object], relieve: Callable[[], object]) -> None:
    """Let the store fail while letters come in, and succeed again: nothing is lost, falsely accepted, or shown raw."""
    web, worker = house.serve(), house.work()
    with sending(house, pace=40) as sender:
        house.wait_until(lambda: len(sender.accepted) > 40, "letters are accepted")
        fail()
        house.wait_until(lambda: house.post("nothing", {}).status_code in (503, 507), "the store fails", 20)
        for _ in range(5):
            started = time.monotonic()
            refused(house.post("letter", {"to": "late@example.org", "number": 1}))
            assert time.monotonic() - started < 1
        assert house.answers()
        relieve()
        relief = time.monotonic()
        house.wait_until(lambda: house.post("nothing", {}).status_code == 202, "it accepts again", 10)
        assert time.monotonic() - relief < 10
    house.wait_settled(60)
    assert web.alive
    assert worker.alive, worker.words()
    result = account(house, sink, sender)
    print(f"\n{result}")
    assert (result.lost, result.unexpected, result.differing, result.unflagged) == (0, 0, 0, 0)
    assert result.duplicated <= 16
    assert "late@example.org" not in {mail.recipients[0] for mail in sink.messages()}
    assert house.broken_rules() == []
    for log in house.folder.glob("*.log"):
        assert "Traceback" not in log.read_text()


def test_a_full_disk_is_refused_within_a_second_and_forgotten_within_ten(
    install: Install, engine: dict[str, Any], smtp_sink: Sink
) -> None:
    sink = smtp_sink()
    with small_disk(48) as disk:
        house = install(smtp_url=sink.url, data_dir=disk / "data", **engine)
        judge(house, sink, lambda: fill(disk), (disk / "ballast").unlink)


def test_write_errors_are_refused_within_a_second_and_forgotten_within_ten(install: Install, smtp_sink: Sink) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url)

    def let_files_grow_to(size: int) -> None:
        """Make every write beyond that place of a file fail (EFBIG); -1 lifts the limit."""
        for program in house.programs:
            _, most = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (size, most))

    journal = house.folder / "data" / "ledger.sqlite3-wal"
    judge(house, sink, lambda: let_files_grow_to(journal.stat().st_size), lambda: let_files_grow_to(-1))


def test_too_little_room_is_refused_before_the_disk_is_full(install: Install, engine: dict[str, Any]) -> None:
    with small_disk(80) as disk:
        house = install(data_dir=disk / "data", free_space_mb=40, **engine)
        house.serve()
        assert house.post("letter", {"to": "ada@example.org"}).status_code == 202
        ballast = fill(disk, leave_bytes=20 << 20)
        house.wait_until(lambda: house.post("nothing", {}).status_code == 507, "it is refused", 5)
        answer = house.post("letter", {"to": "ada@example.org"})
        refused(answer)
        assert "40 MB are kept in reserve" in answer.json()["detail"]
        ready = house.client.get("/readyz")
        assert ready.status_code == 503
        assert any("room" in reason for reason in ready.json()["reasons"])
        ballast.unlink()
        house.wait_until(lambda: house.post("nothing", {}).status_code == 202, "it is accepted", 10)


def test_a_report_that_finds_no_room_is_made_later_and_leaves_no_half_file(
    install: Install, engine: dict[str, Any]
) -> None:
    with small_disk(60) as disk:
        house = install(data_dir=disk / "data", **engine)
        worker = house.work()
        warm = house.enqueue("statement", rows=10)
        assert house.wait_for(warm).state == "succeeded"
        ballast = fill(disk, leave_bytes=3 << 20)
        task_id = house.enqueue("statement", rows=200_000)
        house.wait_until(lambda: house.task(task_id).state == "retrying", "it finds no room", 40)
        assert "room" in (house.task(task_id).error or "")
        archive = disk / "data" / "archive"
        assert len([path for path in archive.rglob("*") if path.is_file()]) == 1, "a half file is to be seen"
        ballast.unlink()
        task = house.wait_for(task_id, seconds=40)
        assert task.state == "succeeded", task.error
        assert checksum(house.steward.archive, task.artifacts[0].location) == task.artifacts[0].sha256
        assert worker.alive
