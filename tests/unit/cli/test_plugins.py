"""Plugins are listed, looked at and tried."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

pytestmark = pytest.mark.slow


def test_plugins_are_listed_and_a_broken_one_with_its_place(steward, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broken.py").write_text('"""Broken."""\n\nimport nothing_of_this_name\n')
    monkeypatch.setenv("STEWARD_PLUGINS_DIR", str(tmp_path / "own"))
    plugins = {plugin["name"]: plugin for plugin in steward("plugins", "--json").json["plugins"]}
    assert plugins["welcome_email"]["handlers"] == ["welcome_email"]
    assert "broken.py:3: ModuleNotFoundError" in plugins["broken"]["error"]
    shown = steward("plugins")
    assert "Greet a new member" in shown.out or "Greet a member" in shown.out
    assert "The plugin broken cannot be used." in shown.err


def test_a_preview_writes_the_letter_and_sends_nothing(steward, tmp_path):
    done = steward("preview", "welcome_email", "--name", "Grace Hopper", "--out", "looks", "--json").json
    assert sorted(done["files"]) == ["looks/letter.eml", "looks/letter.html", "looks/letter.txt"]
    letter = message_from_bytes((tmp_path / "looks" / "letter.eml").read_bytes(), policy=policy.default)
    assert letter["To"] == "ada@example.org"
    assert "Grace Hopper" in (tmp_path / "looks" / "letter.txt").read_text()
    assert not (tmp_path / "data" / "outbox").exists()
    assert not steward("tasks", "--json").json["tasks"]


def test_a_whole_payload_stands_instead_of_the_example(steward):
    refused = steward("preview", "welcome_email", "--payload", '{"name": "Grace"}')
    assert refused.code == 2
    assert "email: Field required" in refused.err


def test_what_could_not_be_performed_is_an_exit_code(steward):
    done = steward("preview", "fail")
    assert done.code == 1
    assert "it cannot be done" in done.err


def test_a_plugin_that_ends_its_process_is_tried_and_told_of(steward):
    done = steward("plugin", "test", "die")
    assert done.code == 1
    assert "FAILED  die: The handler ended its process" in done.out


@pytest.mark.parametrize("there", [True, False])
def test_a_new_plugin_tells_what_may_be_run_as_it_is(steward, tmp_path, monkeypatch, there):
    monkeypatch.setenv("STEWARD_PLUGINS_DIR", str(tmp_path / "own"))
    monkeypatch.setattr("steward.cli.commands.plugins.find_spec", lambda name: object() if there else None)
    said = steward("plugin", "new", "town_crier").out
    assert "steward plugin test town_crier" in said
    assert f"pytest {tmp_path / 'own' / 'tests' / 'test_town_crier.py'}" in said
    assert ("pip install pytest" in said) != there
