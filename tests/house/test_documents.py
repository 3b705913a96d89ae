"""Whatever can be set, hooked into or seen is described where its reader looks, and decisions say why."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pluggy
import pytest
from tests.house.repository import ROOT, files, name

from steward.installation.settings import Settings
from steward.model.results import Outcome
from steward.model.states import State
from steward.plugins import hooks as hookspecs
from steward.plugins import registry

DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))


def test_the_page_of_settings_is_made_from_the_settings() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "document_settings.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_house_is_drawn_as_it_is() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "document_house.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_setting_says_what_it_means() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for each, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), each
        assert f"`STEWARD_{each.upper()}`" in page


def test_every_hook_is_described_for_those_who_write_plugins() -> None:
    page = (DOCS / "plugins.md").read_text(encoding="utf-8")
    manager = pluggy.PluginManager(hookspecs.NAMESPACE)
    manager.add_hookspecs(hookspecs)
    hooks = [each for each in vars(manager.hook) if not each.startswith("_")]
    assert hooks
    for hook in hooks:
        assert f"`{hook}" in page, f"docs/plugins.md does not describe the hook {hook}"
        assert (getattr(hookspecs, hook).__doc__ or "").strip(), hook


def test_every_hook_is_used_by_a_plugin_that_ships() -> None:
    shipped = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plugins").glob("*.py"))
    # The plugins that the page shows are written down and loaded by test_plugin_author.
    shipped += "".join(
        re.findall(r"^```python\n(.*?)^```$", (DOCS / "plugins.md").read_text(), re.MULTILINE | re.DOTALL)
    )
    shipped += "".join(inspect.getsource(importlib.import_module(module)) for module in registry.SHIPPED)
    manager = pluggy.PluginManager(hookspecs.NAMESPACE)
    manager.add_hookspecs(hookspecs)
    for hook in (each for each in vars(manager.hook) if not each.startswith("_")):
        assert f"def {hook}(" in shipped, hook


def test_every_state_and_outcome_is_named_in_the_life_of_a_task() -> None:
    page = (DOCS / "life-of-a-task.md").read_text(encoding="utf-8")
    # "pending" is the absence of an outcome.
    named = [each.value for each in (*State, *Outcome) if each != Outcome.PENDING]
    assert not [each for each in named if not re.search(rf"\b{each}\b", page)]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_the_context_the_choice_the_reason_and_the_price(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {int(path.stem[:4])}\. \S", text)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Why", "Consequences"]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert len(DECISIONS) >= 14


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for page in (path for path in files() if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
                broken.append(f"{name(page)}: {target}")
    assert not broken
