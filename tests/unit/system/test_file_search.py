"""Looking for a text in a store's file leaves this process's locks on it alone."""

import sqlite3
import subprocess
import sys
from contextlib import closing

from steward.system.file_search import holding

LOCK = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"


def test_files_that_hold_a_text_are_found_however_it_is_written_and_wherever_it_stands(tmp_path):
    (tmp_path / "plain").write_bytes(b"to: ADA@Example.org")
    (tmp_path / "late").write_bytes(b"x" * ((1 << 20) - 4) + "zoë@example.org".encode())
    (tmp_path / "other").write_bytes(b"grace@example.org")
    paths = [tmp_path / name for name in ("plain", "late", "other", "gone")]
    assert holding(paths, ["ada@example.org", "zoë@example.org"]) == paths[:2]
    assert holding(paths, ["[a-z]"]) == []


def test_a_store_stays_locked_while_its_file_is_looked_through(tmp_path):
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("CREATE TABLE t (x)")
        store.execute("BEGIN IMMEDIATE")
        store.execute("INSERT INTO t VALUES ('ada@example.org')")
        holding(tmp_path.iterdir(), ["ada@example.org"])
        other = subprocess.run([sys.executable, "-c", LOCK, path], capture_output=True, text=True, check=False)
        assert "database is locked" in other.stderr
        store.execute("COMMIT")
    assert holding([path], ["ada@example.org"]) == [path]
