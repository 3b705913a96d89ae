"""Takes a person out of everything that an installation keeps, and says what it could not reach."""

from __future__ import annotations

import contextlib
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from steward.installation import former_engine
from steward.mail.transports.captured import file_stem
from steward.storage import working_folders
from steward.storage.maintenance import retention, vacuum
from steward.storage.tasks import attempts
from steward.system.file_search import holding

if TYPE_CHECKING:
    from steward.installation.container import Steward


@dataclass(frozen=True, slots=True)
class Erasure:
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


def erase(steward: Steward, address: str) -> Erasure:
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
    folder = steward.settings.data_dir
    vacuum.rewrite(steward.ledger, [*steward.stores, folder / former_engine.FILE], (former_engine.SCHEMA,))
    backups = steward.settings.backup_dir or folder / "backups"
    with steward.ledger.read() as connection:
        left = [f"table {name}" for name in retention.tables_holding(connection, forms, (former_engine.SCHEMA,))]
    left += [str(path.relative_to(folder)) for path in holding(_files(folder, backups), forms)]
    made_before = len(list(backups.glob("steward-*Z")))
    return Erasure(len(ids), keys, rows, letters, files, tuple(left), made_before)


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
