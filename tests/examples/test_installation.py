"""An installation whose mail goes over HTTP and whose files lie in a bucket: plugins, chosen by two settings."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from tests.examples.loading import EXAMPLES
from tests.journeys.installation import Installation
from tests.servers.ses import SECRET, Ses

PDF = b"%PDF-"


@pytest.fixture
def server() -> Iterator[Ses]:
    with Ses() as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, server: Ses, bucket_url: str) -> Iterator[Installation]:
    (tmp_path / "one").mkdir()
    with Installation(tmp_path / "one", mail_url=server.url(), archive_url=bucket_url, env="production") as house:
        for name in ("ses_transport", "s3_archive"):
            shutil.copy(EXAMPLES / f"{name}.py", house.plugins_dir)
        yield house


def test_a_letter_is_sent_and_a_report_made_and_downloaded(house: Installation, server: Ses) -> None:
    house.up()
    letter = house.post("letter", {"to": "ada@example.org", "words": "over HTTP"}).json()["id"]
    report = house.post("statement", {"rows": 30, "formats": ["pdf", "csv", "xlsx"]}).json()["id"]

    task = house.wait_for(letter)
    assert [(d.outcome, d.code) for d in task.deliveries] == [("accepted", 200)], task
    [(_, to, wire)] = server.sent
    assert to == ["ada@example.org"]
    assert message_from_bytes(wire)["Message-ID"] == task.deliveries[0].message_id

    task = house.wait_for(report)
    assert task.state == "succeeded", task.error
    assert {file.name for file in task.artifacts} == {"statement.pdf", "statement.csv", "statement.xlsx"}
    for file in task.artifacts:
        answer = house.client.get(f"/v1/tasks/{report}/artifacts/{file.n}")
        assert answer.status_code == 200, answer.text
        assert len(answer.content) == file.size
        assert hashlib.sha256(answer.content).hexdigest() == file.sha256
        assert answer.content.startswith(PDF) == (file.name == "statement.pdf")
    assert not (house.steward.settings.data_dir / "archive").exists()

    done = house.run("backup", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["files"], made["elsewhere"], made["verified"]) == (0, 3, True)
    said = house.run("backup", "--verify", made["folder"]).stdout
    assert "3 files are not in it" in said

    assert house.run("purge", "--older-than", "0", "--yes").returncode == 0
    assert house.steward.archive.remove(report) == 0
    assert SECRET not in house.words()


def test_a_secret_that_the_server_repeats_is_shown_nowhere(house: Installation, server: Ses) -> None:
    server.answer = lambda recipients: (400, "MessageRejected", f"{recipients[0]} is not for {SECRET}")
    house.up()
    task = house.wait_for(house.post("letter", {"to": "ada@example.org"}).json()["id"])
    assert task.state == "failed"
    shown = house.client.get(f"/v1/tasks/{task.id}").text
    assert "ada@example.org is not for ***" in shown
    for place in (shown, *(log.read_text() for log in house.folder.glob("*.log"))):
        assert SECRET not in place
    assert not [path for path in (house.folder / "data").glob("ledger*") if SECRET.encode() in path.read_bytes()]


def test_the_same_letter_goes_again_when_the_service_is_back(house: Installation, server: Ses) -> None:
    refusals = iter([(503, "ServiceUnavailable", "Later")])
    server.answer = lambda recipients: next(refusals, None)
    house.up()
    task_id = house.post("letter", {"to": "ada@example.org"}).json()["id"]
    task = house.wait_for(task_id)
    assert task.state == "succeeded"
    assert [attempt.outcome for attempt in task.attempts] == ["retrying", "succeeded"]
    assert len(server.sent) == 1


def test_the_check_asks_both(tmp_path: Path, server: Ses, bucket_url: str) -> None:
    (tmp_path / "one").mkdir()
    with Installation(tmp_path / "one", EXAMPLES, mail_url=server.url(), archive_url=bucket_url) as house:
        stored = house.steward.archive.store("01hx7m4d2k", "a.csv", io.BytesIO(b"x"))
        assert stored.location.startswith("steward/")
        done = house.run("check", "--json")
        looked = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
        assert (looked["files"]["level"], looked["mail"]["level"]) == ("ok", "ok"), looked
        assert "127.0.0.1 takes our mail" in looked["mail"]["words"]
        listed = {each["name"]: each for each in json.loads(house.run("plugins", "--json").stdout)["plugins"]}
        assert listed["ses_transport"]["parts"] == ["mail transport ses"]
        assert listed["s3_archive"]["parts"] == ["archive s3"]


@pytest.mark.parametrize("words", [("up",), ("serve",), ("work",)], ids=" ".join)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mail_url": "sess://KEY:hidden-word@h"}, "STEWARD_MAIL_URL asks for the mail transport 'sess'"),
        ({"archive_url": "s4://bucket"}, "STEWARD_ARCHIVE_URL asks for the archive 's4'"),
        ({"archive_url": "s3://KEY:hidden-word@bucket"}, "STEWARD_ARCHIVE_URL cannot be used"),
    ],
)
def test_what_is_not_there_ends_the_start_in_words(
    house: Installation, words: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    house.settings |= settings
    done = house.run(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden-word" not in done.stderr + done.stdout
