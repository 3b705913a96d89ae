"""Makes the store that the embedded engine of earlier versions left behind when its worker was killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

LEFT = Path(__file__).with_name("former_engine.sql")


def left_in(folder: Path, done: str, first: str, second: str) -> Path:
    """Make `engine.sqlite3` in `folder`, with one batch that was done and two that were not, and return its path.

    It is written as that engine wrote it: in WAL mode, the pages still in the write-ahead log.
    """
    path = folder / "engine.sqlite3"
    words = LEFT.read_text(encoding="utf-8")
    for name, task_id in (("done", done), ("first", first), ("second", second)):
        words = words.replace(f"{{{name}}}", task_id)
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.executescript(words)
    return path
