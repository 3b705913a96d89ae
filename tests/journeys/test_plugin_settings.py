"""What an operator sets for a plugin in the file of settings reaches it at every door; what is wrong is told there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.journeys.installation import Installation

PLUGIN = '''
import os
from pydantic import BaseModel
from steward import Note, PluginSettings, Secret, handler, hookimpl

class Order(BaseModel):
    n: int = 1

class Dues(PluginSettings):
    token: Secret
    most: int = 9

@handler(example=Order())
def collect(order: Order, settings: Dues) -> Note:
    """Collect the dues."""
    return Note(f"{len(settings.token.reveal())} of {settings.most}, {settings.token.reveal()}, {os.environ['OTHER']}")

@hookimpl
def register_handlers():
    return [collect]
'''
FILE = ("--env-file", "settings.env")
SAID = "9 of 7, ••••••••, there"


@pytest.fixture
def place(tmp_path: Path):
    with Installation(tmp_path) as installation:
        (installation.plugins_dir / "trials.py").unlink()  # made to be killed: `check` would try them
        (installation.plugins_dir / "dues.py").write_text(PLUGIN)
        (tmp_path / "settings.env").write_text("DUES_TOKEN=hush-hush\nDUES_MOST=7\nOTHER=there\nDUES_MOSTT=8\n")
        yield installation


@pytest.mark.parametrize("engine", ["durable", "background", "celery"])
def test_a_worker_s_handler_has_what_the_file_says(
    place: Installation, engine: str, request: pytest.FixtureRequest
) -> None:
    broker = {"broker_url": request.getfixturevalue("redis_url")} if engine == "celery" else {}
    place.settings |= {"engine": engine, "allow_interruptible": True, **broker}
    program = place.start(*FILE, "up")
    place.wait_until(place.answers, "the web server answers")
    answer = place.post("collect", {})
    assert answer.status_code == 202, answer.text
    assert place.wait_for(answer.json()["id"]).note == SAID
    told = "DUES_MOSTT in settings.env is no setting; did you mean DUES_MOST?"
    assert program.words().count(told) == 1
    assert "hush" not in place.words()


def test_the_commands_have_what_the_file_says(place: Installation) -> None:
    tried = place.run(*FILE, "plugin", "test", "dues")
    assert f"ok      collect: {SAID}" in tried.stdout, tried.stdout + tried.stderr
    assert SAID in place.run(*FILE, "preview", "collect").stdout


def test_a_value_that_cannot_be_used_is_told_by_check_and_never_shown(place: Installation) -> None:
    (place.folder / "settings.env").write_text("DUES_TOKEN=hush-hush\nDUES_MOST=hush-hush\n")
    done = place.run(*FILE, "check")
    assert done.returncode == 1
    assert "FAIL  plugins: dues: " in done.stdout
    assert "DUES_MOST: Input should be a valid integer" in done.stdout
    assert "hush" not in done.stdout + done.stderr
