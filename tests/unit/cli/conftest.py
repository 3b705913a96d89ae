"""Runs the command in this process, on an installation of the test's own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.house.repository import ROOT

from steward import cli


class Done(NamedTuple):
    """What a command has answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it has printed for a program; fails where it was refused."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def steward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    """Runs `steward WORDS` with the plugins of the journeys and a data folder in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEWARD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("STEWARD_PLUGINS_DIR", str(ROOT / "tests" / "journeys" / "plugins"))
    monkeypatch.setenv("STEWARD_FREE_SPACE_MB", "0")
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def run(*words: str) -> Done:
        code = cli.run(words)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    yield run
    root.handlers[:], root.level = before
