"""What every command begins with: the settings, the log, and the installation that they describe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from steward.errors import ConfigurationError

if TYPE_CHECKING:
    from steward.app import Steward
    from steward.settings import Settings


def settings_of(context: typer.Context, **overrides: Any) -> Settings:
    """Return the settings of the environment, the file of `--env-file`, and `overrides`.

    Raises:
        ConfigurationError: a value cannot be used, or the file cannot be read.
    """
    from steward import settings

    env_file: Path | None = context.find_root().obj
    if env_file is not None and not env_file.is_file():
        raise ConfigurationError(f"The file of settings {env_file} is not there", remedy="Check --env-file")
    return settings.load(env_file, **overrides)


def long_running(context: typer.Context) -> Settings:
    """Return the settings for a command that stays, with its log set up and its folder proved writable.

    Raises:
        ConfigurationError: a setting or the data folder cannot be used.
    """
    from steward.cli import logs

    chosen = settings_of(context)
    logs.set_up(chosen.log_level)
    prove_writable(chosen.data_dir)
    return chosen


def prove_writable(folder: Path) -> None:
    """Return if files can be made in `folder`, which is made if it is missing.

    Raises:
        ConfigurationError: they cannot.
    """
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {folder} cannot be written",
            error.strerror or str(error),
            "Give this user the right to write there, or set STEWARD_DATA_DIR to another folder",
        ) from error


@contextmanager
def opened(context: typer.Context, **overrides: Any) -> Iterator[Steward]:
    """Give the installation for a command that ends soon; only what is wrong is logged."""
    from steward.app import Steward
    from steward.cli import logs

    chosen = settings_of(context, **overrides)
    logs.set_up("debug" if chosen.log_level == "debug" else "warning")
    prove_writable(chosen.data_dir)
    steward = Steward(chosen)
    try:
        yield steward
    finally:
        steward.close()
