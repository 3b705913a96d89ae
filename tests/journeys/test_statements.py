"""Many files in one task: each recipient gets their own, to the byte, whatever is killed, late or drawn up again."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.installation import PLUGINS, Installation
from tests.journeys.performing import Performing
from tests.servers.scripted_smtp import ScriptedSmtp, say
from tests.servers.smtp_sink import SmtpSink, SunkMail

from steward.model.results import TaskResult
from steward.storage.archive import checksum

MEMBERS = 50

Install = Callable[..., Installation]
Sink = Callable[..., SmtpSink]


@pytest.fixture
def perform(tmp_path: Path, smtp_sink: Sink) -> Iterator[tuple[Performing, SmtpSink]]:
    sink = smtp_sink()
    templates = PLUGINS / "templates"
    with Performing(tmp_path, sink.url, plugins_dir=PLUGINS, templates_dir=templates) as performing:
        yield performing, sink


def files_of(raw: bytes) -> dict[str, bytes]:
    mail = SunkMail("", (), raw)
    return {p.get_filename() or "": p.get_payload(decode=True) for p in mail.message.iter_attachments()}  # type: ignore[misc]  # bytes, when decoded


def whose(content: bytes) -> str:
    """Return whose statement a PDF or CSV is, by what stands in it."""
    text = content.decode("utf-8-sig") if content[:4] != b"%PDF" else words_of(content)
    (found,) = set(re.findall(r"Only for (\d+)", text))
    return f"m{found}@example.org"


def words_of(content: bytes) -> str:
    # Not pypdf: where a glyph that no font has is embedded, it reads the whole font's letters as NUL and letter.
    run = subprocess.run(["pdftotext", "-", "-"], input=content, capture_output=True, check=True, timeout=30)
    return run.stdout.decode()


def look_at(task: TaskResult, archive: Any, mails: list[tuple[str, bytes]], members: int) -> None:
    """Check that everybody got their own statement, and that the archive keeps each once, under a name of its own."""
    kept = {artifact.name: archive.path(artifact.location).read_bytes() for artifact in task.artifacts}
    assert len(kept) == len(task.artifacts) == 2 * members
    assert [checksum(archive, a.location) for a in task.artifacts] == [a.sha256 for a in task.artifacts]
    by_owner: dict[str, set[str]] = {}
    for content in kept.values():
        by_owner.setdefault(whose(content), set()).add(hashlib.sha256(content).hexdigest())
    assert {len(found) for found in by_owner.values()} == {2}
    assert {recipient for recipient, _ in mails} == set(by_owner)
    copies: dict[str, set[bytes]] = {}
    for recipient, raw in mails:
        files = files_of(raw)
        assert set(files) == {"statement.pdf", "statement.csv"}
        assert {whose(content) for content in files.values()} == {recipient}
        assert {hashlib.sha256(content).hexdigest() for content in files.values()} == by_owner[recipient]
        copies.setdefault(recipient, set()).add(raw)
    assert {len(found) for found in copies.values()} == {1}, "a repeat differs from the first copy"


def mails_of(sink: SmtpSink) -> list[tuple[str, bytes]]:
    return [(mail.recipients[0], mail.raw) for mail in sink.messages()]


def test_fifty_statements_of_one_name_reach_their_fifty_members(perform: tuple[Performing, SmtpSink]) -> None:
    house, sink = perform
    task = house.send("statements", {"number": MEMBERS})
    assert task.state == "succeeded", task.error
    look_at(task, house.steward.archive, mails_of(sink), MEMBERS)


def test_a_retry_that_draws_them_up_in_another_order_sends_everybody_their_own(tmp_path: Path) -> None:
    members = 12
    late = {f"rcpt:m{n}@example.org": [say("450 4.2.0 come again")] * (n % 3) for n in range(members)}
    with (
        ScriptedSmtp(late) as server,
        Performing(
            tmp_path, server.url(), plugins_dir=PLUGINS, templates_dir=PLUGINS / "templates", retry_delays=(1.0,)
        ) as house,
    ):
        task = house.send("statements", {"number": members})
        assert task.state == "retrying"
        while house.later():
            pass
        task = house.task(task.id)
        assert (task.state, task.attempt) == ("succeeded", 3), task.error
        assert "stand as boxes in the PDF" in (task.note or "")
        mails = [(t.recipients[0].decode(), t.message or b"") for t in server.accepted]
        assert len(mails) == members
        look_at(task, house.steward.archive, mails, members)


@pytest.mark.timeout(180)
def test_a_kill_in_the_middle_gives_nobody_another_s_file(install: Install, smtp_sink: Sink) -> None:
    sink = smtp_sink()
    house = install(smtp_url=sink.url, smtp_connections=2, smtp_in_flight=2)
    worker = house.work()
    task_id = house.enqueue("statements", number=MEMBERS)
    house.wait_until(lambda: len(house.task(task_id).artifacts) > MEMBERS // 2, "half of the files are kept", 60)
    worker.kill9()
    assert 0 < len(house.task(task_id).artifacts) < 2 * MEMBERS
    worker = house.work()
    house.wait_until(lambda: len(house.task(task_id).deliveries) > MEMBERS // 4, "some letters have gone", 60)
    worker.kill9()
    house.work()
    task = house.wait_for(task_id, seconds=90)
    assert (task.state, task.attempt > 1) == ("succeeded", True), task.error
    assert {delivery.outcome for delivery in task.deliveries} == {"accepted"}
    # The last attempt has laid out nothing: what stands as boxes is known from the files that were kept.
    assert "stand as boxes in the PDF" in (task.note or "")
    look_at(task, house.steward.archive, mails_of(sink), MEMBERS)


@pytest.mark.timeout(180)
def test_a_large_file_for_many_takes_no_more_memory_than_for_one(install: Install, smtp_sink: Sink) -> None:
    members = 20
    sink = smtp_sink(keep=False)
    house = install(smtp_url=sink.url)
    worker = house.work()
    one = house.wait_for(house.enqueue("large_file", number=1), seconds=60)
    assert one.state == "succeeded", one.error
    before, room = peak(worker.pid), room_of(house)
    task = house.wait_for(house.enqueue("large_file", number=members), seconds=120)
    assert task.state == "succeeded", task.error
    assert [d.outcome for d in task.deliveries] == ["accepted"] * members
    # Each letter is 11 MB on the wire: all of them together would be 220 MB, before any copy of them.
    assert peak(worker.pid) - before < 130_000, "the worker keeps a few such letters at once, not all"
    assert max(peak(child) for child in house.children_of(worker)) < 300_000
    assert room_of(house) - room < 60_000_000, "the ledger keeps the file once"


def peak(pid: int) -> int:
    """Return the most memory that a process has had, in kB."""
    return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


def room_of(house: Installation) -> int:
    """Return how many bytes the ledger takes."""
    return sum(path.stat().st_size for path in (house.folder / "data").glob("ledger.sqlite3*"))
