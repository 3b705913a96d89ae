"""Tells names that no setting has, with the nearest that there is: nobody shall wonder why nothing changes."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from steward.installation.settings import Settings
from steward.model.declaration.plugin_settings import OWN, PluginSettings, lines, names

COMMANDS_OWN: Final = ("STEWARD_URL", "STEWARD_API_KEY")
"""Variables that the command reads itself: they describe no installation, and stand in no settings file."""
_ALIKE: Final = 0.8
"""How alike two names are, of 1, where the one is taken for the other though it may well be another program's."""


def ignored(env_file: Path | None = None) -> list[str]:
    """Return a sentence about each variable `STEWARD_*`, in the environment or in `env_file`, that no setting has.

    It names what was given and the nearest name that there is, and never a value.
    """
    known = _own()
    given = sorted(name for name in os.environ if name.upper().startswith(OWN))
    said = [
        f"The variable {name} is no setting and is ignored{_nearest(name, [*known, *COMMANDS_OWN])}"
        for name in given
        if name.upper() not in (*known, *COMMANDS_OWN)
    ]
    for name, value in lines(env_file).items():
        if name.upper() in known:
            continue
        if value is None or not re.fullmatch(r"[A-Za-z_]\w{0,79}", name):  # no name: part of a value, perhaps a secret
            said.append(f"A line in {env_file} is not NAME=value and is ignored")
        elif name.upper() in COMMANDS_OWN:
            said.append(f"{name} in {env_file} is ignored; it is read from the environment alone")
        elif name.upper().startswith(OWN):
            said.append(f"{name} in {env_file} is no setting and is ignored{_nearest(name, known)}")
    return said


def unread(declared: Sequence[type[PluginSettings]], env_file: Path | None = None) -> list[str]:
    """Return a sentence about each name that seems to be meant for a setting of a plugin, or for one of Steward's own.

    `declared` are the settings of all plugins. Every other line of `env_file` goes to the plugins in the environment,
    where one may read it that declares nothing.
    """
    known = {name.upper() for kind in declared for name in names(kind)}
    prefixes = tuple({str(kind.model_config.get("env_prefix")).upper() for kind in declared})
    parted = tuple(
        f"{name}{kind.model_config['env_nested_delimiter']}".upper()
        for kind in declared
        if kind.model_config.get("env_nested_delimiter")
        for name in names(kind)
    )
    own = {name.removeprefix(OWN): name for name in _own()}
    there = {name: f"{name} in {env_file}" for name in lines(env_file) if not name.upper().startswith(OWN)}
    there |= {
        name: f"The variable {name}" for name in sorted(os.environ) if name not in there and _begins(name, prefixes)
    }
    said = []
    for name, where in there.items():
        upper = name.upper()
        if upper in known or upper.startswith(parted or "\n") or not re.fullmatch(r"[A-Za-z_]\w{0,79}", name):
            continue
        near = difflib.get_close_matches(upper, [*known, *own], n=1, cutoff=_ALIKE)
        if near:
            said.append(f"{where} is no setting; did you mean {own.get(near[0], near[0])}?")
        elif where.endswith(f" in {env_file}") and _begins(name, prefixes):
            said.append(f"{where} is no setting of the plugin whose settings begin so")
    return said


def _begins(name: str, prefixes: tuple[str, ...]) -> bool:
    return name.upper().startswith(prefixes)


def _own() -> list[str]:
    return [f"{OWN}{name.upper()}" for name in Settings.model_fields]


def _nearest(name: str, known: list[str]) -> str:
    stems = [each.removeprefix(OWN) for each in known]
    near = difflib.get_close_matches(name.upper().removeprefix(OWN), stems, n=1)
    return f"; did you mean {OWN}{near[0]}?" if near else "; docs/settings.md lists what there is"
