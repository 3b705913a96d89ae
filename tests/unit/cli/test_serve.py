"""What is refused or told before a command that stays has begun, or has told an address."""

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


@pytest.mark.parametrize("words", [("up",), ("serve",), ("work",)], ids=" ".join)
@pytest.mark.parametrize("engine", ["durable", "celery"])
def test_a_sender_that_cannot_be_used_is_refused_before_anything_begins(steward, monkeypatch, words, engine):
    monkeypatch.setenv("STEWARD_ENGINE", engine)
    monkeypatch.setenv("STEWARD_BROKER_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("STEWARD_MAIL_FROM", "a@x.org <office@y.org>")
    refused = steward(*words)
    assert refused.code == 2
    assert "STEWARD_MAIL_FROM is not one sender." in refused.err
    assert "Example: STEWARD_MAIL_FROM='Local 214 <office@example.org>'" in refused.err
    assert refused.out == ""


def test_a_mistyped_setting_is_told_once_for_a_command(steward, monkeypatch, tmp_path):
    monkeypatch.setenv("STEWARD_SMPT_URL", "smtp://mail.example.org")
    file = tmp_path / "settings.env"
    file.write_text("STEWARD_WROKERS=2\n")
    listed = steward("--env-file", str(file), "key", "list", "--json")
    assert listed.json == {"keys": []}
    assert listed.err == (
        "steward: The variable STEWARD_SMPT_URL is no setting and is ignored; did you mean STEWARD_SMTP_URL?\n"
        f"steward: STEWARD_WROKERS in {file} is no setting and is ignored; did you mean STEWARD_WORKERS?\n"
    )
    monkeypatch.setenv("STEWARD_PLUGINS_DIR", str(tmp_path / "plugins"))
    assert steward("plugin", "new", "crier").err.count("STEWARD_SMPT_URL") == 1  # it reads the settings twice


def test_a_process_that_is_watched_leaves_it_to_the_one_that_watches(steward, monkeypatch):
    monkeypatch.setenv("STEWARD_SMPT_URL", "smtp://mail.example.org")
    monkeypatch.setenv("STEWARD_ENGINE", "background")
    assert "STEWARD_SMPT_URL" in steward("work").err
    monkeypatch.setattr("steward.sandbox.confinement.die_with", lambda parent: None)
    assert "STEWARD_SMPT_URL" not in steward("work", "--parent", "1").err
