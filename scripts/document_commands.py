"""Writes docs/commands.md from the command's own help; with --check only says whether it is up to date."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Help is as wide as the terminal; the page must not depend on who makes it.
os.environ["COLUMNS"] = "100"
os.environ["TERMINAL_WIDTH"] = "100"

import typer

from steward.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"

HEAD = """\
# The command `steward`

Every command takes its settings from `STEWARD_*` variables or a file (`steward --env-file FILE …`, see
[settings](settings.md)), and works on the installation that they describe: on this machine's data folder, or the
database that they name. `send`, `status`, `tasks`, `retry` and `cancel` also work on a service elsewhere, with `--url`
(or `STEWARD_URL`) and a key in `STEWARD_API_KEY`.

What a person reads goes to standard output, what went wrong to standard error, in words: what failed, why, and the
remedy. With `--json` the output is one JSON value a line.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it was done and failed: the task did not succeed, a check found something |
| 2 | wrong usage, or refused: a field or setting cannot be used, a port is taken, a state does not allow it |
| 3 | not found: no such task, no such kind of task, no such key |
| 4 | the ledger, the source, the broker or the service cannot be reached |
| 130 | stopped with Ctrl-C |

`steward up`, `serve` and `work` log one line for each event on standard error, with the time in UTC; passwords, keys
and sign-in links are never in it. `STEWARD_LOG_LEVEL=debug` shows where in the program an error arose.

This page is made from the command's own help by `make docs`.
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_sections(typer.main.get_command(app), "steward"))


def _sections(command: Any, words: str, above: Any = None) -> Iterator[str]:
    context = command.make_context(words.rpartition(" ")[2], [], parent=above, resilient_parsing=True)
    if above is not None and not getattr(command, "commands", None):
        help_ = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        yield f"\n## `{words}`\n\n```text\n{help_}\n```\n"
    for name, each in getattr(command, "commands", {}).items():
        yield from _sections(each, f"{words} {name}", context)


def main() -> int:
    """Write the page, or compare it."""
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write("docs/commands.md is not up to date. Type: make docs\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
