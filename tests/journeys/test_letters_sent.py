"""Every letter that ships, sent to Postfix's own sink and read back as a stranger would."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pypdf
import pytest
from tests.journeys.performing import Performing
from tests.servers.smtp_sink import SmtpSink, SunkMail

from steward.cli import sample
from steward.model.results import TaskResult

ONCE = ("Date", "Message-ID", "From", "To", "Subject", "MIME-Version", "Auto-Submitted")
SENDER = "Local 214 Büro <office@example.org>"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample database."""
    path = tmp_path_factory.mktemp("source") / "sample.sqlite3"
    sample.make(path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def performing(tmp_path_factory: pytest.TempPathFactory, source: str) -> Iterator[tuple[Performing, SmtpSink]]:
    with SmtpSink() as sink:
        folder = tmp_path_factory.mktemp("performing")
        with Performing(folder, sink.url, source_url=source, mail_from=SENDER) as perform:
            yield perform, sink


@pytest.fixture
def send(performing: tuple[Performing, SmtpSink]) -> Callable[..., tuple[TaskResult, list[SunkMail]]]:
    """Hands a task over and returns it with the mails that came of it."""
    perform, sink = performing

    def send(name: str, payload: dict[str, Any]) -> tuple[TaskResult, list[SunkMail]]:
        before = len(sink.messages())
        task = perform.send(name, payload)
        assert task.state == "succeeded", task.error
        return task, sink.messages()[before:]

    return send


def look_at(task: TaskResult, mail: SunkMail, to: str, name: str = "") -> None:
    """Check what holds for every letter. `name` is the reader's, and may look like anything."""
    assert (mail.sender, mail.recipients) == ("office@example.org", (to,))
    message = mail.message
    assert [len(message.get_all(name) or ()) for name in ONCE] == [1] * len(ONCE)
    assert str(message["To"]) == to
    assert str(message["From"]) == SENDER
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] in {d.message_id for d in task.deliveries}
    assert message["Date"].datetime == task.created_at.replace(microsecond=0)
    assert max(map(len, mail.raw.split(b"\n"))) <= 998
    assert b"\r" not in mail.raw
    assert not [d for part in message.walk() for d in part.defects]
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    words = plain.get_content().replace(name, "")
    assert len(words.split()) > 20
    assert not re.search(r"<[a-z]+[ >]|\{\{|\bNone\b|&[a-z]+;", words)
    assert "<style" not in words
    assert 'style="' in html.get_content()
    assert str(message["Subject"]).strip()


def files(mail: SunkMail) -> dict[str, tuple[str, bytes]]:
    return {
        p.get_filename() or "": (p.get_content_type(), p.get_payload(decode=True))  # type: ignore[misc]  # bytes, when decoded
        for p in mail.message.iter_attachments()
    }


def test_the_welcome(send: Callable[..., Any]) -> None:
    name = "Zoë Müller-Lüdenscheidt <b>{{ 7*7 }}</b> 👩‍🏭"
    task, (mail,) = send("welcome_email", {"name": name, "email": "zoe@bücher.example", "member_number": "IB-20417"})
    look_at(task, mail, "zoe@xn--bcher-kva.example", name)
    assert name in str(mail.message["Subject"])
    assert name in mail.message.get_body(("plain",)).get_content()
    html = mail.message.get_body(("html",)).get_content()
    assert "<b>{{" not in html
    assert "{{ 7*7 }}" in html
    assert "IB-20417" in html


def test_the_password_reset(send: Callable[..., Any]) -> None:
    link = "https://members.example.org/reset/" + "4f9c" * 40 + "?a=1&b=%2F#x"
    task, (mail,) = send("password_reset", {"name": "Ada", "email": "ada@example.org", "link": link})
    look_at(task, mail, "ada@example.org")
    # The link survives the way whole, in the text as one line, in the HTML escaped and not otherwise changed.
    assert link in mail.message.get_body(("plain",)).get_content().splitlines()
    assert f'href="{link.replace("&", "&amp;")}"' in mail.message.get_body(("html",)).get_content()
    assert "reset/" not in str(mail.message["Subject"])


@pytest.mark.parametrize(
    ("name", "asked"),
    [("grant_report", sample.GRANT_REPORT), ("membership_summary", sample.MEMBERSHIP_SUMMARY)],
)
def test_a_report_comes_with_its_files_intact(
    send: Callable[..., Any], performing: tuple[Performing, SmtpSink], name: str, asked: dict[str, Any]
) -> None:
    to = ["funder@example.org", "treasurer@example.org"]
    task, mails = send(name, {**asked, "recipients": to, "formats": ["pdf", "xlsx"]})
    kept = {a.name: performing[0].steward.archive.path(a.location).read_bytes() for a in task.artifacts}
    assert kept
    assert len(mails) == 2
    for mail in mails:
        look_at(task, mail, mail.recipients[0])
        sent = files(mail)
        # What is attached is what is kept, byte for byte.
        assert {file: content for file, (_, content) in sent.items()} == kept
        pdf = next(content for kind, content in sent.values() if kind == "application/pdf")
        assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) >= 2
        sheets = [content for kind, content in sent.values() if kind == XLSX]
        assert sheets
        assert all(zipfile.ZipFile(io.BytesIO(sheet)).testzip() is None for sheet in sheets)
    assert {mail.recipients[0] for mail in mails} == set(to)
    # The last address's files are the first's: each got a message of their own with nobody else in it.
    for mail in mails:
        others = set(to) - set(mail.recipients)
        assert not any(other.encode() in mail.raw for other in others)
