"""What is refused before a command that stays has begun, or has told an address."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "No mail server is set."),
        ("mail.example.org", "STEWARD_SMTP_URL is not the address of a mail server."),
        ("smtp+plain://mail.example.org", "would go over the network unencrypted."),
    ],
)
def test_in_production_the_mail_server_is_looked_at_first(steward, monkeypatch, url, said):
    monkeypatch.setenv("STEWARD_ENV", "production")
    monkeypatch.setenv("STEWARD_SMTP_URL", url)
    refused = steward("up")
    assert refused.code == 2
    assert said in refused.err
    assert refused.out == ""
