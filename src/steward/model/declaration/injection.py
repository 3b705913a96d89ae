"""What a plugin's function is given beside its payload: found by the annotations of its parameters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from steward.errors import PluginError
from steward.model.declaration.plugin_settings import PluginSettings

Needs = tuple[tuple[str, Any], ...]
"""A parameter's name, and what it wants: the name of what Steward offers, or a class of settings."""


def needs_of(look: Callable[..., Any] | None, outer: dict[str, Any]) -> Needs:
    """Return what a `check` or a `span` asks for. Raises as `needs`."""
    if look is None:
        return ()
    hints = typing.get_type_hints(look, localns=outer)
    return needs(look, hints, list(inspect.signature(look).parameters.values())[1:])


def needs(target: Callable[..., Any], hints: dict[str, Any], parameters: list[inspect.Parameter]) -> Needs:
    """Return what `target` asks for by its `parameters`.

    Raises:
        PluginError: nobody provides it; the words say where, with file and line.
    """
    found: list[tuple[str, Any]] = []
    for parameter in parameters:
        hint = hints.get(parameter.name)
        wanted = getattr(hint, "injected_as", None)
        if isinstance(hint, type) and issubclass(hint, PluginSettings):
            found.append((parameter.name, hint))
        elif wanted is not None:
            found.append((parameter.name, wanted))
        elif parameter.default is inspect.Parameter.empty:
            raise PluginError(
                f"{target.__name__} at {place_of(target)} asks for '{parameter.name}', which nobody provides",
                "Beside its payload a handler may ask for Source, Calendar, Progress, Cursor, Operations or its own "
                "PluginSettings, by annotation",
            )
    return tuple(found)


def settings_in(asked: Needs) -> list[type[PluginSettings]]:
    """Return the classes of settings among what is asked for."""
    return [wanted for _, wanted in asked if isinstance(wanted, type)]


def provided(asked: Needs, offered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a function asks for: settings as they are now, the rest from `offered` if it is there.

    Raises:
        Rejected: a plugin's settings cannot be used.
    """
    found: dict[str, Any] = {}
    for name, wanted in asked:
        if isinstance(wanted, type):
            found[name] = wanted()
        elif wanted in offered:
            found[name] = offered[wanted]
    return found


def place_of(target: Callable[..., Any]) -> str:
    """Return file and line of a function."""
    code = getattr(target, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "?"
