"""Writes the sample as an SQLite file: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from steward.cli.sample.money import SampleMoney
from steward.cli.sample.people import SamplePeople
from steward.cli.sample.schema import SCHEMA
from steward.cli.sample.training import SampleTraining

CUT_OFF: Final = datetime(2026, 9, 30, 17, 0)
"""The sample's present: nothing in it happened later. Fixed, so that the sample is the same on every day."""


@dataclass(frozen=True, slots=True)
class SampleDatabase:
    """What was written: the file, and how many rows each table has."""

    path: Path
    rows: Mapping[str, int]


def make(path: Path) -> SampleDatabase:
    """Write the sample database to `path`, replacing what is there, and return how many rows each table has.

    The content is the same every time. The file appears when it is complete.

    Raises:
        OSError: it cannot be written there.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}.sqlite3")
    tables = draw()
    try:
        draft.touch(exist_ok=False)  # says in the system's words why a file cannot be made here
        _write(draft, tables)
        descriptor = os.open(draft, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
    except sqlite3.Error as error:
        raise OSError(f"The sample database cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return SampleDatabase(path, {name: len(rows) for name, rows in tables.items()})


def draw() -> dict[str, Sequence[tuple[Any, ...]]]:
    """Return the rows of every table of `SCHEMA` in the order in which they may be written, as Python's own types."""
    people = SamplePeople(CUT_OFF)
    training = SampleTraining(people.members, CUT_OFF)
    return {
        "members": people.rows(),
        "organizations": people.organizations(),
        "member_employments": people.employments(),
        **training.rows(),
        **SampleMoney(training.students, CUT_OFF).rows(),
    }


def _write(path: Path, tables: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=OFF")  # a draft that breaks is thrown away
        connection.execute("PRAGMA synchronous=OFF")
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        for name, rows in tables.items():
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", (tuple(map(_stored, row)) for row in rows))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _stored(value: Any) -> Any:
    """Return the value as SQLite keeps it: ISO 8601 text for dates, a number for money by the column's affinity."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
