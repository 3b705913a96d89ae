"""Keys and sign-in links are made, shown once, and ended."""

from __future__ import annotations

import re


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
    steward("key", "create", "site", "--scope", "send")
    assert steward("key", "revoke", first["id"]).out == "The key is revoked.\n"
    assert steward("key", "revoke", "site").code == 0
    assert all(key["revoked_at"] for key in steward("key", "list", "--json").json["keys"])


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
