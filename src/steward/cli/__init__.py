"""The command: its words, and one place where whatever goes wrong becomes words and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from steward import __version__
from steward.cli.commands import access, engine, maintenance, plugins, schedules, serve, tasks
from steward.cli.error_messages import ABORTED, exit_code_of, tell
from steward.errors import StewardError
from steward.system import private_files

app = typer.Typer(
    name="steward",
    help="Steward carries notices to members, brings back reports, and sees each task through.",
    epilog="Exit codes: 0 done; 1 the task or operation failed; 2 wrong usage, or refused; 3 not found; "
    "4 the store or a server cannot be reached. Settings are STEWARD_* variables: see docs/settings.md.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _say_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    env_file: Annotated[
        Path | None, typer.Option("--env-file", help="File of settings, one NAME=value a line; the environment wins.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Steward carries notices to members, brings back reports, and sees each task through."""
    context.obj = env_file


for part in (serve, tasks, schedules, plugins, maintenance, access, engine):
    part.add_commands(app)


def run(words: Sequence[str]) -> int:
    """Do what `words` say and return the exit code. Whatever goes wrong is told on standard error, in words."""
    command = typer.main.get_command(app)
    try:
        answer = command.main(args=list(words), prog_name="steward", standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except TyperException as error:
        show = getattr(error, "show", None)
        if show is not None:
            show()
        else:
            tell(error.format_message())
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        tell("Stopped.")
        return ABORTED
    except typer.Exit as error:
        return error.exit_code
    except StewardError as error:
        tell(error.what, error.why, error.remedy)
        return exit_code_of(error)
    except BrokenPipeError:
        # Whoever read our output has heard enough, as `head` has; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # whatever nobody foresaw: still no traceback for a person
        if os.environ.get("STEWARD_LOG_LEVEL") == "debug":
            raise
        tell(
            f"This should not have happened: {type(error).__name__}",
            str(error),
            "Run it again with STEWARD_LOG_LEVEL=debug to see where, and report it",
        )
        return 1


def main() -> None:
    """Run the command of the command line and end the process with its exit code."""
    private_files.begin()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to fail
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
