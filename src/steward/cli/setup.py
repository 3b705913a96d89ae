"""What every command begins with: the settings, the log, and the installation that they describe."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from steward.cli.error_messages import tell
from steward.errors import ConfigurationError
from steward.system import private_files

if TYPE_CHECKING:
    from steward.installation.container import Steward
    from steward.installation.settings import Settings
    from steward.plugins.registry import Registry
    from steward.worker.dry_run import DryRun


_TOLD = "steward.ignored settings are told"


def settings_of(context: typer.Context, **overrides: Any) -> Settings:
    """Return the settings of the environment, the file of `--env-file`, and `overrides`.

    Names that no setting has are told once for each command; a process that another one watches leaves it to that one.

    Raises:
        ConfigurationError: a value cannot be used, or the file cannot be read.
    """
    from steward.installation import setting_names, settings

    env_file: Path | None = context.find_root().obj
    if env_file is not None and not env_file.is_file():
        raise ConfigurationError(f"The file of settings {env_file} is not there", remedy="Check --env-file")
    chosen = settings.load(env_file, **overrides)
    heard = context.find_root().meta
    if not heard.get(_TOLD) and not context.params.get("parent"):
        for sentence in setting_names.ignored(env_file):
            tell(sentence)
    heard[_TOLD] = True
    return chosen


def tell_unread(context: typer.Context, registry: Registry) -> None:
    """Tell the names that seem to be meant for a plugin's settings, and are none."""
    from steward.installation.setting_names import unread

    declared = [kind for plugin in registry.plugins for kind in plugin.settings]
    for sentence in unread(declared, context.find_root().obj):
        tell(sentence)


def long_running(context: typer.Context) -> Settings:
    """Return the settings for a command that stays, with its log set up and its folder proved writable.

    Raises:
        ConfigurationError: a setting, the sender of letters or the data folder cannot be used.
    """
    from steward.cli import logs
    from steward.mail.message import message

    chosen = settings_of(context)
    logs.set_up(chosen.log_level, chosen.log)
    message.sender_of(chosen.mail_from)
    prove_writable(chosen.data_dir)
    return chosen


def prove_writable(folder: Path, what: str = "data folder", setting: str = "STEWARD_DATA_DIR") -> None:
    """Return if files can be made in `folder`, which is made if it is missing.

    Raises:
        ConfigurationError: they cannot.
    """
    try:
        private_files.make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"The {what} {folder} cannot be written",
            error.strerror or str(error),
            f"Give this user the right to write there, or set {setting} to another folder",
        ) from error


@contextmanager
def opened(context: typer.Context, *, quiet: bool = False) -> Iterator[Steward]:
    """Give the installation for a command that ends soon; only what is wrong is logged, and nothing if `quiet`."""
    from steward.installation.container import Steward
    from steward.worker.watchdog import watching

    chosen = _settings_and_log(context, "critical" if quiet else "warning")
    prove_writable(chosen.data_dir)
    steward = Steward(chosen)
    try:
        with watching(steward.slots_folder, steward.stores, "command"):
            yield steward
    finally:
        steward.close()


@contextmanager
def tried(context: typer.Context) -> Iterator[DryRun]:
    """Give a trial of the installation's plugins and templates, in a folder that is gone afterwards."""
    from steward.worker.dry_run import apart, trial

    chosen = _settings_and_log(context, "critical")
    with (
        tempfile.TemporaryDirectory(prefix="steward-trial-") as folder,
        trial(apart(chosen, Path(folder)), hosted=True) as made,
    ):
        tell_unread(context, made.steward.registry)
        yield made


def _settings_and_log(context: typer.Context, level: str) -> Settings:
    from steward.cli import logs

    chosen = settings_of(context)
    logs.set_up("debug" if chosen.log_level == "debug" else level, chosen.log)
    return chosen
