"""A Steward of its own in a temporary folder, run as an operator runs it: processes and `STEWARD_*` variables."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.harness import ROOT, running, wait_for
from steward.installation.container import Steward
from steward.installation.settings import load

PLUGIN = '''
"""What the benchmarks ask for beside the shipped letters."""

from pydantic import BaseModel

from steward import Handler, handler, hookimpl


class Nothing(BaseModel):
    """A number, to tell them apart."""

    n: int = 0


@handler(example=Nothing())
def nothing(wanted: Nothing) -> None:
    """Do nothing at all."""


@hookimpl
def register_handlers() -> list[Handler]:
    return [nothing]
'''


class Installation:
    """A data folder with its plugins. `environment` is what its processes are given."""

    def __init__(self, folder: Path, **settings: object) -> None:
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "nothing.py").write_text(PLUGIN)
        self.data = folder / "data"
        self.settings = {
            "data_dir": str(self.data),
            "plugins_dir": str(plugins),
            "mail_from": "Local 214 <office@example.org>",
            "organization": "Local 214",
            "log_level": "warning",
            **{name: str(value) for name, value in settings.items()},
        }
        self.environment = os.environ | {f"STEWARD_{name.upper()}": value for name, value in self.settings.items()}

    def open(self) -> Steward:
        """Return the same installation in this process."""
        return Steward(load(**self.settings))

    @contextmanager
    def worker(self, *command: str | os.PathLike[str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run `steward work` (or `command`) while the block lasts, from when it has done a first task."""
        steward = self.open()
        with running(command or (sys.executable, "-m", "steward", "work"), env=self.environment, cwd=ROOT) as process:
            first = steward.service.enqueue("nothing", n=0)
            wait_for(lambda: self.count("succeeded", first), 60, "the worker")
            yield process
        steward.close()

    def count(self, state: str, task_id: str = "%") -> int:
        """Return how many tasks are in `state`."""
        with closing(sqlite3.connect(self.data / "ledger.sqlite3")) as ledger:
            query = "SELECT count(*) FROM tasks WHERE state = ? AND id LIKE ?"
            return int(ledger.execute(query, (state, task_id)).fetchone()[0])


@contextmanager
def installation(**settings: object) -> Iterator[Installation]:
    """Give an installation that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        yield Installation(Path(folder), **settings)
