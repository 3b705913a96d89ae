"""Keys and sign-in links are made, shown once, and ended."""

from __future__ import annotations

import re

import pytest

from steward.installation.container import Steward
from steward.installation.settings import load
from steward.storage import access

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(steward):
    """The installation that the command works on."""
    made = Steward(load())
    yield made
    made.close()


def test_a_key_is_printed_alone_and_only_once(steward):
    made = steward("key", "create", "members-site", "--scope", "send", "--scope", "read")
    assert re.fullmatch(r"stw_[\w-]{43}\n", made.out)
    assert "It may send, read, and is not shown again." in made.err
    listed = steward("key", "list", "--json").json["keys"]
    assert [(key["name"], key["scopes"], key["revoked_at"]) for key in listed] == [
        ("members-site", ["send", "read"], None)
    ]
    assert made.out.strip() not in steward("key", "list").out


def test_a_key_is_ended_by_its_id_or_name(steward):
    first = steward("key", "create", "site", "--scope", "send", "--json").json
    assert steward("key", "revoke", first["id"]).out == "The key is revoked.\n"
    steward("key", "create", "site", "--scope", "send")
    assert steward("key", "revoke", "site").code == 0
    assert all(key["revoked_at"] for key in steward("key", "list", "--json").json["keys"])


NAMES = [
    ("", "It is empty"),
    ("   ", "It is empty"),
    ("x" * 81, "It has 81"),
    ("a\nb", "Some are not"),
    ("a\x1b[31mb", "Some are not"),
    ("a\u202eb", "Some are not"),
    ("a\u200bb", "Some are not"),
]


@pytest.mark.parametrize(("name", "why"), NAMES)
@pytest.mark.parametrize("made", [("key", "create"), ("user", "add")])
def test_a_name_that_cannot_be_told_apart_is_refused(steward, made, name, why):
    refused = steward(*made, "--scope", "send", "--", name)
    assert refused.code == 2
    assert f"The name cannot be used. {why}. It needs 1 to 80 printable characters." in " ".join(refused.err.split())
    assert steward("key", "list", "--json").json["keys"] == []
    assert steward("user", "list", "--json").json["users"] == []


def test_a_name_is_one_key_s_while_that_is_in_use(steward):
    first = steward("key", "create", "  Zo\u00eb ", "--scope", "send", "--json").json
    assert first["name"] == "Zo\u00eb"
    for same in ("Zo\u00eb", "Zoe\u0308", "ZO\u00cb "):
        refused = steward("key", "create", same, "--scope", "operate")
        assert refused.code == 2
        assert "A key of the name" in refused.err
    assert steward("key", "create", "x" * 80, "--scope", "send").code == 0
    steward("key", "revoke", "Zoe\u0308")
    assert steward("key", "create", "Zo\u00eb", "--scope", "send", "--json").json["id"] != first["id"]


def test_a_person_is_one_however_often_they_are_let_in(steward):
    for name in ("Ada", " Ada ", "ada"):
        steward("user", "add", name, "--scope", "reports")
    assert [user["name"] for user in steward("user", "list", "--json").json["users"]] == ["Ada"]


def test_a_key_is_limited_to_tasks_that_there_are(steward):
    made = steward("key", "create", "app", "--scope", "send", "--only", "welcome_email", "--only", "password_reset")
    assert "It may send password_reset and welcome_email only, and is not shown again." in " ".join(made.err.split())
    assert steward("key", "list", "--json").json["keys"][0]["only"] == ["password_reset", "welcome_email"]
    assert "password_reset welcome_email" in steward("key", "list").out
    refused = steward("key", "create", "other", "--scope", "send", "--only", "welcome_mail")
    assert refused.code == 2
    assert "There is no task named 'welcome_mail'. Did you mean 'welcome_email'?" in " ".join(refused.err.split())
    assert len(steward("key", "list", "--json").json["keys"]) == 1


def test_a_sign_in_link_is_printed_alone_with_its_life(steward, monkeypatch):
    monkeypatch.setenv("STEWARD_BASE_URL", "https://steward.example.org")
    made = steward("user", "add", "Ada", "--scope", "reports")
    assert re.fullmatch(r"https://steward\.example\.org/sign-in/[\w-]{43}\n", made.out)
    assert "within 15 minutes" in made.err


def test_a_link_needs_an_address_to_lead_to(steward, monkeypatch):
    monkeypatch.setenv("STEWARD_PORT", "0")
    refused = steward("user", "add", "Ada", "--scope", "reports")
    assert refused.code == 2
    assert "STEWARD_BASE_URL" in refused.err


def test_users_are_listed_by_name_with_what_they_may_and_whether_they_came(steward, opened):
    assert steward("user", "list").out.startswith("There are no users.")
    steward("user", "add", "Grace", "--scope", "reports")
    steward("user", "add", "Ada", "--scope", "read")
    link = steward("user", "add", "Ada", "--scope", "reports", "--scope", "operate", "--json").json["link"]
    assert "not yet" in steward("user", "list").out
    opened.ledger.apply(lambda c: access.use_link(c, link.rpartition("/")[2]))
    listed = steward("user", "list", "--json").json["users"]
    assert [(u["name"], u["scopes"], u["signed_in_at"] is None) for u in listed] == [
        ("Ada", ["reports", "operate"], False),
        ("Grace", ["reports"], True),
    ]
    shown = steward("user", "list").out
    assert link.rpartition("/")[2] not in shown
    assert [line.split()[0] for line in shown.splitlines()] == ["NAME", "Ada", "Grace"]


def test_who_is_removed_is_out_at_once_and_nobody_else(steward, opened):
    def link(name):
        return steward("user", "add", name, "--scope", "reports", "--json").json["link"].rpartition("/")[2]

    def use(token):
        return opened.ledger.apply(lambda c: access.use_link(c, token))

    def stands(caller):
        with opened.ledger.read() as connection:
            return access.standing(connection, caller.id) is not None

    ada, grace, unused = use(link("Ada")), use(link("Grace")), link("Ada")
    assert stands(ada)
    assert steward("user", "remove", "Ada").out == "Ada is removed.\n"
    assert not stands(ada)
    assert stands(grace)
    assert use(unused) is None
    assert stands(use(link("Ada")))
    assert not stands(ada)  # another link of the same name brings no old session back


def test_removing_nobody_is_said_and_a_key_of_the_name_is_told_of(steward):
    missing = steward("user", "remove", "Ada")
    assert missing.code == 3
    assert "There is no user 'Ada'. List them with: steward user list." in " ".join(missing.err.split())
    steward("key", "create", "Ada Byron", "--scope", "reports")
    steward("user", "add", "Ada Byron", "--scope", "reports")
    assert "steward key revoke 'Ada Byron'" in steward("user", "remove", "Ada Byron").err
    assert steward("key", "list", "--json").json["keys"][0]["revoked_at"] is None
