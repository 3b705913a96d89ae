"""The link for a new password: it is in the letter and nowhere else, and it is never late."""

from __future__ import annotations

import base64
import zlib
from datetime import timedelta

import pytest
from tests.servers.stores import contents

from steward import Secret
from steward.errors import InvalidPayload
from steward.testing import Outbox
from steward.worker.dry_run import DryRun

TOKEN = "4f9c1b7e-unheard-of-28d05a"
LINK = f"https://members.example.org/reset/{TOKEN}"
WISH = {"name": "Grace Hopper", "email": "grace@example.org", "link": LINK}


def test_both_parts_have_the_link_and_say_how_long_it_works(steward_installation: DryRun, outbox: Outbox) -> None:
    steward_installation.service.enqueue("password_reset", WISH)
    (letter,) = outbox
    assert (letter.to, letter.subject) == ("grace@example.org", "Choose a new password")
    assert letter.html is not None
    assert f"\n{LINK}\n" in letter.text
    assert f'href="{LINK}"' in letter.html
    for part in (letter.text, letter.html):
        assert "60 minutes" in part
        assert "your password stays as it is" in " ".join(part.split())
    assert "•" not in letter.text + letter.html


def test_the_link_is_in_no_file_but_the_letter(steward_installation: DryRun) -> None:
    steward = steward_installation.steward
    task = steward_installation.service.get_status(steward_installation.service.enqueue("password_reset", WISH))
    assert task.state == "succeeded"
    assert TOKEN not in repr(task)
    link = LINK.encode()
    forms = [TOKEN.encode(), link.hex().encode(), base64.b64encode(link)[:-4], zlib.compress(link)]
    files = [path for path in steward.settings.data_dir.rglob("*") if path.is_file()]
    holding = [path for path in files if any(form in contents(path) for form in forms)]
    assert holding
    assert {path.parent for path in holding} == {steward.outbox_folder}
    assert any(path.name.endswith(("sqlite3", "wal", "db")) for path in files)


def test_nothing_is_sent_after_its_hour(steward_installation: DryRun) -> None:
    service = steward_installation.service
    task = service.get_status(service.enqueue("password_reset", {**WISH, "link": Secret(LINK)}))
    assert task.expires_at is not None
    assert task.expires_at - task.created_at == timedelta(hours=1)
    assert (task.lane, task.priority) == ("urgent", 100)


@pytest.mark.parametrize("name", ["{{7*7}}", "<script>alert(1)</script>", "{{ link.reveal() }}"])
def test_a_name_stays_text(steward_installation: DryRun, outbox: Outbox, name: str) -> None:
    steward_installation.service.enqueue("password_reset", {**WISH, "name": name})
    (letter,) = outbox
    assert letter.html is not None
    assert letter.text.startswith(f"Dear {name},")
    assert "<script" not in letter.html
    assert letter.text.count(TOKEN) == 1


ELSEWHERE = [
    "http://localhost.evil.example/x",
    "http://localhost@evil.example/",
    "http://localhost:80@evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1@evil.example/",
    "http://localhost%2eevil.example/",
    "http://[::1].evil.example/",
    "http://0.0.0.0/",
    "https://members.example.org@evil.example/",
    "https://@evil.example/",
    "https://members.example.org:pass@evil.example/",
    "https://members.example.org\\@evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "//evil.example/",
    "https://",
    "https://members.example.org:99999/",
    "data:text/html,x",
    "file:///etc/passwd",
]


@pytest.mark.parametrize(
    "link",
    [
        "https://members.example.org/reset?to=ada@example.org",
        "https://members.example.org?to=ada@example.org",
        "HTTPS://MEMBERS.example.org/",
        "http://localhost:8000/reset/1",
        "http://127.0.0.1/reset#a@b",
        "http://[::1]:8000/",
    ],
)
def test_a_link_to_an_encrypted_page_or_this_machine_is_sent_as_it_is(
    steward_installation: DryRun, outbox: Outbox, link: str
) -> None:
    steward_installation.service.enqueue("password_reset", {**WISH, "link": link})
    assert f"\n{link}\n" in outbox[-1].text


@pytest.mark.parametrize(
    "link",
    [
        "",
        "javascript:alert(1)",
        "http://members.example.org/reset/1",
        f"{LINK} and more",
        "https://x\n.org",
        5,
        *ELSEWHERE,
    ],
)
def test_a_link_that_a_member_could_not_trust_is_refused_and_not_repeated(
    steward_installation: DryRun, outbox: Outbox, link: object
) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        steward_installation.service.enqueue("password_reset", {**WISH, "link": link})
    assert [problem.field for problem in refusal.value.problems] == ["link"]
    assert TOKEN not in str(refusal.value)
    assert len(outbox) == 0
