"""Says in words what a database, its driver or the disk refuses."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from steward.errors import ConfigurationError, InvalidOption, StorageBusy, StorageFull, StorageUnavailable
from steward.storage.database import postgres
from steward.storage.database.write_lock import busy, is_busy
from steward.system.masking import masked

log = logging.getLogger(__name__)


@contextmanager
def in_words() -> Iterator[None]:
    """Raise in words what the database, its driver or the disk says; what breaks a constraint is left as it is."""
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeout as error:
        raise StorageBusy("The store is busy", "Every connection to it is in use", "Try again shortly") from error
    except (DBAPIError, sqlite3.Error) as error:
        raise storage_error(error) from error
    except UnicodeEncodeError as error:
        raise InvalidOption(
            "A text in the request cannot be used", "It holds half a character, or bytes that are no UTF-8"
        ) from error


@contextmanager
def usable(setting: str, example: str) -> Iterator[None]:
    """Say in words why the database URL that `setting` holds cannot be used; `example` shows what would do.

    Raises:
        ConfigurationError: it is none, or its driver is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The driver for {setting} is not installed ({error.name})",
            remedy="For PostgreSQL: pip install 'steward-tasks[postgres]'",
        ) from error
    except SQLAlchemyError as error:
        raise ConfigurationError(
            f"{setting} is not a database URL", masked(str(error)), f"Example: {example}"
        ) from error


def storage_error(error: BaseException) -> StorageUnavailable:
    """Return a database's or a disk's error in words; `StorageFull` when there is no room."""
    cause = getattr(error, "orig", None) or error
    if (isinstance(cause, sqlite3.Error) and is_busy(cause)) or postgres.is_busy(cause):
        return busy()
    text = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
    log.error("the store failed: %s", text)
    if _no_room(cause):
        return StorageFull("There is no room left on the disk", text, "Free some space; it works again by itself")
    return StorageUnavailable(
        "The store cannot be used just now", text, "Try again in a moment; see the log if it stays"
    )


def _no_room(cause: Any) -> bool:
    """Whether the disk is full, by the code of whoever says so: words name columns as well ("full_name")."""
    if isinstance(cause, OSError):
        return cause.errno in (errno.ENOSPC, errno.EDQUOT)
    # SQLite's primary result code is the low byte of the extended one; 53100 is PostgreSQL's disk_full.
    code, state = getattr(cause, "sqlite_errorcode", None), getattr(cause, "sqlstate", None)
    return (isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_FULL) or state == "53100"
