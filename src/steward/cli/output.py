"""How tasks, tables and JSON look on a terminal."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steward.model.figures import in_words

if TYPE_CHECKING:
    from steward.model.results import TaskResult

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]

GAP = "  "


def say(text: str = "") -> None:
    """Print a line for a person. Control characters, which could redraw a terminal, are shown as dots."""
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else "·" for c in text) + "\n")


def note(text: str) -> None:
    """Print a line about what was printed, on standard error: `KEY=$(steward key create …)` gets the key alone."""
    sys.stderr.write(f"{text}\n")


def say_json(value: Any) -> None:
    """Print a value as JSON, one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings, the last column as wide as the terminal has room for."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    room = shutil.get_terminal_size((120, 24)).columns - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        last = row[-1]
        if sys.stdout.isatty() and len(last) > room > 1:
            last = last[: room - 1] + "…"
        say(GAP.join([*cells, last]).rstrip())


def at(moment: datetime | None) -> str:
    """Return a time as the reader's clock shows it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def say_task(task: TaskResult) -> None:
    """Print everything about one task."""
    say(f"{task.name}  {task.id}")
    state = task.state
    if task.progress is not None and not task.finished:
        state += f", {task.progress:.0%} {task.progress_text}".rstrip()
    lines = [
        ("state", state),
        ("error", task.error or ""),
        ("note", task.note or ""),
        ("figures", "; ".join(f"{name}: {value}" for name, value in in_words(task.figures))),
        ("asked by", task.requested_by),
        ("accepted", at(task.created_at)),
        ("due", at(task.due_at) if not task.finished and task.due_at != task.created_at else ""),
        ("started", at(task.started_at)),
        ("finished", at(task.finished_at)),
        ("expires", at(task.expires_at) if not task.finished else ""),
        ("attempts", str(task.attempt) if task.attempt > 1 else ""),
    ]
    for name, value in lines:
        if value:
            say(f"  {name:<10}{value}")
    for copy in task.deliveries:
        again = " (possibly sent twice)" if copy.possible_duplicate else ""
        code = f"{copy.code} " if copy.code and not copy.reply.startswith(str(copy.code)) else ""
        reply = copy.reply.removeprefix(f"{copy.outcome} ")
        say(f"  letter to {copy.to}: {copy.outcome}{again} {code}{reply}".rstrip())
    for file in task.artifacts:
        say(f"  file {file.n}: {file.name} ({file.size:,} bytes)")
