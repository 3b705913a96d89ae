"""Takes a person out of everything that an installation keeps, and says what it could not reach."""

from __future__ import annotations

import contextlib
import html
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import sqlalchemy as sa

from steward.errors import StorageUnavailable
from steward.mail.transports.captured import file_stem
from steward.storage import working_folders
from steward.storage.database import Ledger, postgres
from steward.storage.database.tables import metadata
from steward.storage.tasks import attempts, retention
from steward.system.file_search import holding
from steward.worker.engines import embedded

if TYPE_CHECKING:
    from steward.installation.container import Steward

_PATIENCE: Final = 20.0
"""Seconds for which readers are waited for, until the write-ahead log can be emptied, or a table written anew."""
_SLICE: Final = 0.5
"""Seconds for which others wait behind us at a table of PostgreSQL, and then have to themselves."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was cleared of a person, by kind; and where the address still stands.

    `rows` are rows about other things in which it was replaced. `left` are tables ("table users") and files that hold
    it still, the files relative to the data folder: accounts, reports that were made for others. `backups` were made
    before.
    """

    tasks: int
    keys: int
    rows: int
    letters: int
    files: int
    left: tuple[str, ...] = ()
    backups: int = 0


def erase(steward: Steward, address: str) -> Erased:
    """Remove a person from finished tasks and from every file in the data folder, and look whether it is gone.

    Raises:
        StateConflict: a task for this person is still open, or a schedule will make more.
        StorageUnavailable: the rows are cleared, and the store could not be rewritten: do it again.
    """
    forms = spellings(address)
    with steward.ledger.write() as connection:
        ids = retention.tasks_of(connection, address)
        alone = retention.forget(connection, address, ids)
        keys = retention.forget_keys_of(connection, ids, forms)
        rows = retention.replace_in_rows(connection, forms)
    files = sum(steward.archive.remove(task_id) for task_id in alone)
    letters = _clear_outbox(steward.outbox_folder, address, forms)
    _sweep(steward)
    rewrite(steward.ledger, steward.stores)
    folder = steward.settings.data_dir
    backups = steward.settings.backup_dir or folder / "backups"
    with steward.ledger.read() as connection:
        left = [f"table {name}" for name in retention.tables_holding(connection, forms, _tables(connection))]
    left += [str(path.relative_to(folder)) for path in holding(_files(folder, backups), forms)]
    made_before = len(list(backups.glob("steward-*Z")))
    return Erased(len(ids), keys, rows, letters, files, tuple(left), made_before)


def spellings(address: str) -> tuple[str, ...]:
    """Return the ways in which an address may stand in text: plain, and as JSON, URLs, HTML and DNS write it."""
    local, _, domain = address.rpartition("@")
    found = [address, quote(address, safe=""), quote(address, safe="@"), html.escape(address)]
    found += [json.dumps(address)[1:-1], json.dumps(address, ensure_ascii=False)[1:-1]]
    with contextlib.suppress(UnicodeError):
        found.append(f"{local}@{domain.encode('idna').decode()}")
    with contextlib.suppress(UnicodeError):
        found.append(f"{local}@{domain.encode('ascii').decode('idna')}")
    return tuple(dict.fromkeys(each.lower() for each in found))


def rewrite(ledger: Ledger, stores: Iterable[Path]) -> None:
    """Write the stores anew without what was deleted: free pages and the write-ahead log hold it until then.

    Raises:
        StorageUnavailable: there is no room, or others were at it all the time.
    """
    if not ledger.is_sqlite:
        _rewrite_tables(ledger)
        return
    for store in stores:
        if store.exists():
            _rewrite(store)


def _rewrite_tables(ledger: Ledger) -> None:
    """Write the tables of ledger and engine anew, in PostgreSQL, and what its planner has noted of their contents."""
    end = time.monotonic() + _PATIENCE
    try:
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # its session is not for others afterwards
            connection.execute(sa.text(f"SET lock_timeout = {int(_SLICE * 1000)}"))
            _await_older(connection, end)
            for table in _tables(connection):
                # The planner's statistics hold the commonest values of each column.
                name = connection.dialect.identifier_preparer.format_table(table)
                for words in (*_without_statistics(connection, table, name), f"VACUUM (FULL, ANALYZE) {name}"):
                    _when_free(connection, words, end)
            _await_older(connection, end)
            _when_free(connection, "VACUUM FULL pg_catalog.pg_statistic", end)
    except sa.exc.DBAPIError as error:
        raise _not_rewritten(error.orig or error) from error


def _without_statistics(connection: sa.Connection, table: sa.Table, name: str) -> list[str]:
    """Return what takes the statistics of `table` away if it is empty: ANALYZE would leave the old ones then.

    To give a column its own type again does, writes nothing else anew, and is for the table's owner to do.
    """
    if connection.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)):
        return []
    dialect = connection.dialect
    return [
        f"ALTER TABLE {name} ALTER COLUMN {dialect.identifier_preparer.quote(column.name)}"
        f" TYPE {column.type.compile(dialect)}"
        for column in retention.texts(table)
    ]


def _await_older(connection: sa.Connection, end: float) -> None:
    """Wait for the transactions that have begun before now: what they may see still, VACUUM keeps for them."""
    begun = connection.scalar(sa.text("SELECT clock_timestamp()"))
    while connection.scalar(_OLDER, {"begun": begun}):
        if time.monotonic() > end:
            raise _not_rewritten("others have transactions open")
        time.sleep(_SLICE / 10)


_OLDER: Final = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND xact_start < :begun"
)


def _when_free(connection: sa.Connection, words: str, end: float) -> None:
    """Execute `words` when nobody is at the table: who waits for that makes others wait, so only for a moment each."""
    while True:
        try:
            connection.execute(sa.text(words))
        except sa.exc.DBAPIError as error:
            if not postgres.is_busy(error.orig or error) or time.monotonic() > end:
                raise
            time.sleep(_SLICE)
        else:
            return


def _tables(connection: sa.Connection) -> list[sa.Table]:
    """Return the ledger's tables and, where it is in the same database, those of the engine."""
    own = list(metadata.sorted_tables)
    if connection.dialect.name == "sqlite":
        return own
    engine = sa.MetaData()
    engine.reflect(connection, schema=embedded.SCHEMA)
    return own + list(engine.tables.values())


def _not_rewritten(error: object) -> StorageUnavailable:
    return StorageUnavailable("The rows were cleared, and the store could not be rewritten", str(error), "Do it again")


def _rewrite(store: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("VACUUM")
            end = time.monotonic() + _PATIENCE
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > end:
                    raise StorageUnavailable(
                        "The write-ahead log could not be emptied", f"{store.name} is being read", "Do it again later"
                    )
    except sqlite3.Error as error:
        raise _not_rewritten(error) from error


def _clear_outbox(folder: Path, address: str, forms: tuple[str, ...]) -> int:
    """Delete captured letters to the person, and those in which the address stands; return how many."""
    count = 0
    stem = file_stem(address).lower()
    letters = [path for path in [*folder.glob("*"), *folder.glob(".draft-*")] if path.is_file()]
    plainly = set(holding(letters, forms))
    for path in letters:
        if stem in path.name.lower() or path in plainly or _says(path, forms):
            path.unlink(missing_ok=True)
            count += 1
    return count


def _says(path: Path, forms: tuple[str, ...]) -> bool:
    """Return whether a message says one of `forms`, however its headers and parts are encoded."""
    with path.open("rb") as file:
        message = BytesParser(EmailMessage, policy=policy.default).parse(file)
    for part in message.walk():
        for _, value in part.items():
            if any(form in str(value).lower() for form in forms):
                return True
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            text = content.decode(errors="replace").lower()
            if any(form in text for form in forms):
                return True
    return False


def _sweep(steward: Steward) -> None:
    def running(ids: Sequence[str]) -> dict[str, str]:
        with steward.ledger.read() as connection:
            return attempts.running_among(connection, ids)

    working_folders.sweep(steward.spool_folder, running)
    steward.archive.sweep()


def _files(folder: Path, backups: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and backups not in path.parents:
            yield path
