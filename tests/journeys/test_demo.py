"""The demo does what `make demo ONCE=1` promises: four tasks through HTTP, and everything is where it says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from pypdf import PdfReader

from steward.cli.demo import _ways_in
from steward.installation.container import Steward
from steward.installation.settings import load
from steward.storage import access

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("STEWARD_")}


def demo(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "steward", "demo", "--once"]
    given = {**CLEAN, **environment}
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A finished demo that found its usual port taken."""
    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        return folder, demo(folder, STEWARD_PORT=str(other.getsockname()[1]))


def test_all_four_tasks_succeed_and_the_last_line_says_so(shown):
    folder, told = shown
    assert told.returncode == 0, told.stdout + told.stderr
    last = json.loads(told.stdout.splitlines()[-1])
    assert [task["name"] for task in last["tasks"]] == [
        "welcome_email", "password_reset", "grant_report", "membership_summary",
    ]  # fmt: skip
    assert {task["state"] for task in last["tasks"]} == {"succeeded"}
    assert Path(last["data_dir"]) == folder / "steward-demo"


def test_a_busy_port_is_no_obstacle(shown):
    assert "is in use; the demo takes" in shown[1].stdout


def test_what_it_names_is_there(shown):
    folder, told = shown
    paths = [Path(line.rpartition(": ")[2]) for line in told.stdout.splitlines() if line.startswith("    ")]
    letters = [path for path in paths if path.suffix == ".eml"]
    pdfs = [path for path in paths if path.suffix == ".pdf"]
    assert len(letters) == 3 and len(pdfs) == 2
    assert all(folder in path.parents for path in paths)
    for letter in letters:
        parsed = message_from_bytes(letter.read_bytes(), policy=policy.default)
        assert parsed.get_body(("plain",)) is not None and parsed.get_body(("html",)) is not None
    assert len(PdfReader(pdfs[0]).pages) >= 8


def test_nothing_of_it_runs_on(shown):
    folder = shown[0]
    left = []
    for command in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in command.read_bytes():
                left.append(command.parent.name)
        except OSError:
            continue  # another user's process, or one that has just ended
    assert not left


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    told = demo(tmp_path, STEWARD_DATA_DIR=str(blocked / "data"))
    assert told.returncode == 2
    assert "cannot be written" in told.stderr and "STEWARD_DATA_DIR" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_second_run_in_the_same_folder_lets_itself_in_again(tmp_path: Path) -> None:
    steward = Steward(load(data_dir=tmp_path / "data", free_space_mb=0))
    try:
        first, second = (_ways_in(steward)[0] for _ in range(2))
        with steward.ledger.read() as connection:
            assert access.caller_of(connection, first)[0] is None
            assert access.caller_of(connection, second)[0] is not None
    finally:
        steward.close()
