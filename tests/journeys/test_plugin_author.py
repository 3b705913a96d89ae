"""Whoever follows docs/plugins.md word for word gets what it says: every block of it is written down or run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.house.repository import ROOT

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^(?:`(?P<file>[^`\n]+)`\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    file: str
    kind: str
    text: str


BLOCKS = [Block(found["file"] or "", found["kind"], found["text"]) for found in BLOCK.finditer(PAGE)]
PROGRAMS = {"steward": [sys.executable, "-m", "steward"], "pytest": [sys.executable, "-m", "pytest", "-q"]}


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> list[tuple[str, str, str]]:
    """Each command of the page with what the page says it prints and what it has printed, after following the page."""
    folder = tmp_path_factory.mktemp("author")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STEWARD_")}
    clean |= {"STEWARD_DATA_DIR": str(folder / "data"), "PWD": str(folder)}
    told = []
    for block in BLOCKS:
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.kind == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                program, *words = shlex.split(command)
                if program == "export":  # what the page sets is set from here on, and nothing else
                    name, _, value = words[0].partition("=")
                    clean[name] = value.replace("$PWD", str(folder))
                    continue
                done = subprocess.run(
                    [*PROGRAMS[program], *words], cwd=folder, env=clean, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                told.append((command, shown, done.stdout))
    return told


def test_every_block_is_a_file_or_commands_or_settings_that_can_be_read():
    for block in BLOCKS:
        if block.kind in ("python", "jinja"):
            assert block.file, block.text[:80]
        elif block.kind == "toml":
            assert tomllib.loads(block.text)
        else:
            assert block.kind == "console", block.kind
    assert PAGE.count("```") == 2 * len(BLOCKS)


def test_each_command_prints_what_the_page_says(said):
    assert len(said) >= 4
    for command, shown, printed in said:
        pattern = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", shown.strip()))
        assert re.search(f"^{pattern}$", printed, re.MULTILINE | re.DOTALL), f"{command}\n{shown}\n--- but:\n{printed}"


def test_the_pages_of_the_house_are_not_touched_by_a_plugin_of_the_same_name(tmp_path):
    environment = {**os.environ, "STEWARD_PLUGINS_DIR": str(tmp_path), "STEWARD_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "steward", "plugin", "new", "welcome_email"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "There is a task named 'welcome_email' already" in done.stderr
    assert not list(Path(tmp_path).glob("*.py"))
