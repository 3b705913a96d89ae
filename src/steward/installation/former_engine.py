"""What the engine of earlier versions left behind: a store that nobody reads any more, deleted once that is certain.

It held batches of task ids, and the errors of those that broke off. The ledger has every task, so nothing in it is
needed; but a person may be named in an error, and a file that is left lying is forgotten. In PostgreSQL it was the
schema `dbos` beside the ledger's tables: that one stays, since a program of somebody else may use a schema of this
name in the same database. `steward check` tells of both.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from steward.model.formats import counted
from steward.system import private_files

log = logging.getLogger(__name__)

FILE: Final = "engine.sqlite3"
SCHEMA: Final = "dbos"
TABLE: Final = "workflow_status"
_ENDINGS: Final = ("", "-wal", "-shm", "-journal")
_AT_ONCE: Final = 500

Known = Callable[[Collection[str]], set[str]]
"""Returns those of some task ids that the ledger has."""

_UNFINISHED: Final = (
    "SELECT coalesce(workflow_input.inputs, workflow_status.inputs) FROM workflow_status"
    " LEFT JOIN workflow_input USING (workflow_uuid) WHERE status NOT IN ('SUCCESS', 'ERROR', 'CANCELLED')"
)


class FormerEngine:
    """One per process that performs. `clear` is called at its start, and then every half minute."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the data folder."""
        self._path = folder / FILE
        self._told = ""

    def clear(self, known: Known) -> bool:
        """Delete the file if no process has it open and the ledger knows every task in it; return whether it is gone.

        Says once in the log why it stays.

        Raises:
            StorageUnavailable: the ledger could not be asked.
        """
        if not self._path.exists():
            return True
        for ending in _ENDINGS:
            private_files.narrow(self._path.with_name(FILE + ending))
        try:
            why = self._delete(known)
        except (sqlite3.Error, OSError) as error:
            why = f"it cannot be read or deleted ({error})"
        if why and why != self._told:
            log.warning("%s of an earlier version stays for now: %s", FILE, why)
        self._told = why
        return not why

    def _delete(self, known: Known) -> str:
        """Return why the file stays, or "" if it is deleted."""
        with closing(
            sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        ) as store:
            try:
                # Only whoever has it alone may change the mode: a worker of the earlier version keeps it open.
                store.execute("PRAGMA journal_mode=DELETE")
                store.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                return "another process has it open, a worker of the earlier version perhaps"
            try:
                ids = sorted(set(_unfinished(store)))
            except (ValueError, LookupError, TypeError):
                return "it names tasks in a way that is not the engine's; look at it, then delete it"
            there = {i for at in range(0, len(ids), _AT_ONCE) for i in known(ids[at : at + _AT_ONCE])}
            if missing := len(set(ids) - there):
                return f"it names {counted(missing, 'task')} that the ledger does not have; delete it when you know why"
            for ending in _ENDINGS:
                self._path.with_name(FILE + ending).unlink(missing_ok=True)
        log.info("deleted %s, the store of an earlier version's engine: the ledger has all that was in it", FILE)
        return ""


def _unfinished(store: sqlite3.Connection) -> Iterator[str]:
    """Yield the id of each task that the engine had not finished with. What is pickled is not read.

    Raises:
        ValueError, LookupError, TypeError: the inputs of a batch are not a batch's.
    """
    tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return  # made, and never used
    for (inputs,) in store.execute(_UNFINISHED):
        _, ids = json.loads(inputs)["positionalArgs"]
        if not all(isinstance(each, str) for each in ids):
            raise TypeError(inputs)
        yield from ids
