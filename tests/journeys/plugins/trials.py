"""Handlers made to be killed, frozen, poisoned and starved: what the journeys through broken machines send."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

from steward import (
    NO_RETRY,
    Attachment,
    Column,
    Email,
    EmailAddress,
    Handler,
    Note,
    Report,
    RetryPolicy,
    Secret,
    Table,
    handler,
    hookimpl,
)

QUICK = RetryPolicy(delays=(0.5, 1.0), then=2.0, jitter=0.1)


class Letter(BaseModel):
    """One letter; `words` may be long."""

    to: EmailAddress | list[EmailAddress]
    number: int = 0
    words: str = "As agreed."


class Reset(BaseModel):
    """A letter with a secret in it."""

    to: EmailAddress
    link: Secret


class Run(BaseModel):
    """A run that leaves a line in `file`; `until` is a file that it waits for."""

    file: str = ""
    number: int = 0
    until: str = ""


class Statement(BaseModel):
    """A document of so many rows."""

    rows: int = 3
    formats: list[str] = ["csv"]


LETTER = Letter(to="ada@example.org")


def leave_line(run: Run) -> None:
    """Add one line to the run's file in one write, so that lines of several processes stay whole."""
    if run.file:
        with Path(run.file).open("ab", buffering=0) as file:
            file.write(f"{run.number}\n".encode())


@handler(example=LETTER, retry=QUICK)
def letter(letter: Letter) -> Email:
    """Write a letter."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=LETTER, retry=QUICK, lane="urgent", priority=100)
def urgent_letter(letter: Letter) -> Email:
    """Write a letter that overtakes others."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=LETTER, retry=QUICK, lane="bulk")
def bulk_letter(letter: Letter) -> Email:
    """Write a letter that lets others pass."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=LETTER, retry=QUICK, on_uncertain="hold")
def careful_letter(letter: Letter) -> Email:
    """Write a letter that a person sends again, if anybody."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=LETTER, important=False)
def unimportant_letter(letter: Letter) -> Email:
    """Write a letter that may be interrupted."""
    return Email(to=letter.to, template="letter", context=letter)


@handler(example=Reset(to="ada@example.org", link=Secret("https://example.org/r")), expires_after=timedelta(hours=1))
def secret_letter(reset: Reset) -> Email:
    """Write a letter with a secret link."""
    words = {"number": 0, "words": reset.link.reveal()}
    return Email(to=reset.to, template="letter", context=words)


@handler(example=Run(), important=False)
def nothing(run: Run) -> Note:
    """Do nothing but count."""
    leave_line(run)
    return Note("Done.", {"number": run.number, "share": Decimal("0.10"), "whole": True})


@handler(example=Run(), time_limit=60)
def wait(run: Run) -> Note:
    """Count, and wait for a file."""
    leave_line(run)
    pause = threading.Event()
    while run.until and not Path(run.until).exists():
        pause.wait(0.02)
    return Note("Waited.")


@handler(example=Run(), time_limit=60, lane="jobs")
def wait_alone(run: Run) -> Note:
    """Count, and wait for a file, in the lane of jobs."""
    leave_line(run)
    pause = threading.Event()
    while run.until and not Path(run.until).exists():
        pause.wait(0.02)
    return Note("Waited.")


@handler(example=Run(), time_limit=3, retry=NO_RETRY)
def hang(run: Run) -> Note:
    """Count, and never come back."""
    leave_line(run)
    threading.Event().wait()
    return Note("Unreachable.")


@handler(example=Run(), time_limit=3, retry=NO_RETRY)
def spin(run: Run) -> Note:
    """Count, and never stop computing."""
    leave_line(run)
    while True:
        pass


@handler(example=Run())
def die(run: Run) -> Note:
    """Count, and end the process that runs the handler."""
    leave_line(run)
    os.kill(os.getpid(), signal.SIGKILL)
    return Note("Unreachable.")


@handler(example=Run())
def kill_worker(run: Run) -> Note:
    """Count, and end the worker itself."""
    leave_line(run)
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait(5)
    return Note("Unreachable.")


@handler(example=Run(), lane="jobs", time_limit=30)
def devour(run: Run) -> Note:
    """Count, and take 2 GB of memory."""
    leave_line(run)
    taken = [bytearray(os.urandom(1 << 20) * 16) for _ in range(128)]
    return Note(f"{len(taken)} pieces taken.")


@handler(example=Run(), retry=RetryPolicy(delays=(0.1,), then=0.1, attempts=5, jitter=0))
def fail_twice(run: Run) -> Note:
    """Count, and fail unless this is the third run."""
    leave_line(run)
    runs = len(Path(run.file).read_text().splitlines()) if run.file else 3
    if runs < 3:
        raise RuntimeError(f"not yet, after {runs} runs")
    return Note("At last.")


@handler(example=Run(), retry=NO_RETRY)
def fail(run: Run) -> Note:
    """Count, and fail for good, until the file `until` exists."""
    leave_line(run)
    if run.until and Path(run.until).exists():
        return Note("Mended.")
    raise RuntimeError("it cannot be done")


@handler(example=Statement(), lane="reports", retry=QUICK)
def statement(statement: Statement) -> Report:
    """Draw a statement up."""

    def rows() -> Iterator[tuple[int, str]]:
        yield from ((n, f"Item {n}") for n in range(statement.rows))

    columns = [Column("n", "No.", "integer"), Column("item", "Item")]
    formats = tuple(f for f in ("pdf", "csv", "xlsx") if f in statement.formats)
    table = Table("lines", columns, rows())
    return Report(template="statement", name="statement", title="Statement", tables=[table], formats=formats)  # type: ignore[arg-type]


NO_FONT_HAS = "\U0010fffd"
"""A character for private use, which stands as a box whatever fonts a machine has."""


@handler(example=Run(number=2), lane="reports", retry=QUICK, time_limit=120)
def statements(run: Run) -> list[Report | Email]:
    """Draw up a statement for each member, all of one name and each time in another order, and send each their own."""
    columns = [Column("n", "No.", "integer"), Column("item", "Item")]
    reports = [
        Report(
            template="statement",
            name="statement",
            title="Statement",
            tables=[Table("lines", columns, [(n, f"Only for {n}"), (n, NO_FONT_HAS)])],
            formats=("pdf", "csv"),
        )
        for n in range(run.number)
    ]
    letters = [
        Email(
            to=f"m{n}@example.org", template="letter", context=Letter(to="x@example.org", number=n), attachments=[each]
        )
        for n, each in enumerate(reports)
    ]
    random.SystemRandom().shuffle(reports)
    return [*reports, *letters]


@handler(example=Run(number=2), lane="reports", retry=QUICK, time_limit=120)
def large_file(run: Run) -> Email:
    """Send one file of eight megabytes, the same each time, to many."""
    content = random.Random(8).randbytes(8_000_000)
    to = [f"m{n}@example.org" for n in range(run.number)]
    words = Letter(to="x@example.org", number=run.number)
    return Email(to=to, template="letter", context=words, attachments=[Attachment("large.bin", content)])


@hookimpl
def register_handlers() -> list[Handler]:
    """Return them all."""
    return [found for found in globals().values() if isinstance(found, Handler)]
