"""The letter to a new member: what stands in it, and that a name is never more than a name."""

from __future__ import annotations

import pytest

from steward.errors import InvalidPayload
from steward.testing import Outbox
from steward.worker.dry_run import DryRun

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "member_number": "IB-20417"}


def test_it_greets_in_both_parts_and_names_the_account(steward_installation: DryRun, outbox: Outbox) -> None:
    organization = steward_installation.steward.settings.organization
    steward_installation.service.enqueue("welcome_email", ADA)
    (letter,) = outbox
    assert (letter.to, letter.subject) == ("ada@example.org", f"Welcome to {organization}, Ada Lovelace")
    assert letter.html is not None
    for part in (letter.text, letter.html):
        assert "Ada Lovelace" in part
        assert "IB-20417" in part
        assert "https://members.example.org/" in part
        assert organization in part
    assert letter.text.startswith("Dear Ada Lovelace,")
    assert 'href="https://members.example.org/"' in letter.html
    assert letter.attachments == ()


def test_without_a_member_number_none_is_spoken_of(steward_installation: DryRun, outbox: Outbox) -> None:
    steward_installation.service.enqueue("welcome_email", {**ADA, "member_number": None})
    (letter,) = outbox
    assert letter.html is not None
    assert "member number" not in letter.text
    assert "member number" not in letter.html
    assert "None" not in letter.text + letter.html


@pytest.mark.parametrize(
    "name", ["{{7*7}}", "<script>alert(1)</script>", "{% include 'x' %}", "Zoë Łukasiewicz", "O'Brien & Söhne"]
)
def test_a_name_stays_text(steward_installation: DryRun, outbox: Outbox, name: str) -> None:
    steward_installation.service.enqueue("welcome_email", {**ADA, "name": name})
    (letter,) = outbox
    assert letter.html is not None
    assert letter.subject.endswith(f", {name}")
    assert letter.text.startswith(f"Dear {name},")
    assert "<script" not in letter.html
    assert "49" not in letter.subject
    shown = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown in letter.html.replace("&#39;", "'").replace("&#34;", '"')


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "ada"}, "email"),
        ({"email": "a@example.org, b@example.org"}, "email"),
        ({"name": ""}, "name"),
        ({"sign_in_url": "javascript:alert(1)"}, "sign_in_url"),
        ({"nmae": "Ada"}, "nmae"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_the_name_of_its_field(
    steward_installation: DryRun, outbox: Outbox, change: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        steward_installation.service.enqueue("welcome_email", {**ADA, **change})
    assert field in [problem.field for problem in refusal.value.problems]
    assert len(outbox) == 0
