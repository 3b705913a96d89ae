"""What an operator can set for a plugin: environment variables, or lines in the same file as Steward's settings."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from steward.errors import PluginError, Rejected
from steward.model.content import Secret, mask
from steward.system import strict_json

OWN: Final = "STEWARD_"
"""What the names of Steward's own settings begin with."""
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*", re.IGNORECASE)
_passed_on: dict[str, str] = {}


class _PluginEnvironment(EnvSettingsSource):
    """The environment, whose JSON is read as strictly as everybody's: no name twice in one object."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        decoded = super().decode_complex_value(field_name, field, value)
        return decoded if decoded is value else strict_json.read(value)


class PluginSettings(BaseSettings):
    """The settings of a plugin: derive from it, and ask for it as a parameter, of a handler, its `check` or its `span`.

    Each field is an environment variable, or a line in the file of settings; the variable wins. Its name is the
    plugin's and the field's: `plugins/dues.py` with a field `token` reads `DUES_TOKEN`, and a package by the name of
    the package. `class Books(PluginSettings, env_prefix="BOOKS_")` begins them otherwise. What pydantic-settings
    offers beyond that is there too. A plugin whose settings cannot be used is shown as broken before any task runs.

    Raises:
        PluginError: where a class is made whose names are Steward's own, with file and line.
        Rejected: where an object is made, if a value cannot be used or is missing; each is named, and none shown.
    """

    model_config = SettingsConfigDict(env_file=None, extra="ignore", hide_input_in_errors=True)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            reasons = self._reasons(error)
        except SettingsError as error:  # a list or an object that is no JSON
            found = re.search(r'field "(\w+)"', str(error))
            name = _names_of(type(self)).get(found[1], [found[1]])[0] if found else type(self).__name__
            reasons = f"{name}: it has to be JSON"
        else:
            return
        # From nothing: what was wrong may be a secret, and what is raised is logged with its causes.
        raise Rejected(
            f"The settings of the plugin ({type(self).__name__}) cannot be used",
            reasons,
            "Set them in the environment, or in the file of --env-file, and start again",
        ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from, strongest first."""
        return init_settings, _PluginEnvironment(settings_cls), dotenv_settings, file_secret_settings

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Give the class its prefix, and refuse names that are Steward's own."""
        super().__pydantic_init_subclass__(**options)
        if not cls.model_config.get("env_prefix"):
            cls.model_config["env_prefix"] = _prefix_of(cls.__module__)
        for name in (cls.model_config["env_prefix"], *names(cls)):
            if not _NAME.fullmatch(name) or name.upper().startswith(OWN):
                raise PluginError(
                    f"The settings {cls.__name__} at {_place()} cannot be named {name!r:.80}",
                    f"Names are letters, digits and underscores, and those that begin with {OWN} are Steward's own",
                    f'Write: class {cls.__name__}(PluginSettings, env_prefix="DUES_")',
                )

    @classmethod
    def _reasons(cls, error: ValidationError) -> str:
        known = _names_of(cls)
        said = []
        for each in error.errors(include_url=False):
            first, *rest = each["loc"] or ("",)
            name = ".".join([known.get(str(first), [str(first) or cls.__name__])[0], *map(str, rest)])
            words = "it is not set" if each["type"] == "missing" else each["msg"].removeprefix("Value error, ")
            # A validator of the plugin's own may repeat what it was given.
            value = each["input"]
            said.append(f"{name}: {mask(words, [value] if isinstance(value, str) and value else [])}")
        return "; ".join(said)


def names(kind: type[PluginSettings]) -> list[str]:
    """Return the names of the variables that `kind` reads."""
    return [name for each in _names_of(kind).values() for name in each]


def secrets(values: Iterable[Any]) -> list[str]:
    """Return the texts of the secrets in those of `values` that are settings."""
    fields = [each for value in values if isinstance(value, PluginSettings) for each in vars(value).values()]
    texts = [each.reveal() for each in fields if isinstance(each, Secret)]
    return texts + [each.get_secret_value() for each in fields if isinstance(each, SecretStr)]


def lines(env_file: Path | None) -> Mapping[str, str | None]:
    """Return the lines of a file of settings, as it writes them; None for one that is not NAME=value."""
    return DotEnvSettingsSource(BaseSettings, env_file=env_file, case_sensitive=True).env_vars if env_file else {}


def pass_on(env_file: Path | None) -> None:
    """Put the lines of `env_file` that are not Steward's own into this process's environment, where plugins read them.

    Every process that is started from here inherits them. What the environment has already wins.
    """
    for name, value in lines(env_file).items():
        if value is None or not _NAME.fullmatch(name) or name.upper().startswith(OWN):
            continue
        there = {each.upper(): given for each, given in os.environ.items()}.get(name.upper())
        if there is None or _passed_on.get(name) == there:
            os.environ[name] = _passed_on[name] = value


def take_back() -> None:
    """Undo `pass_on`, in a process that starts others which read the file themselves, perhaps when it has changed."""
    for name, value in _passed_on.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _passed_on.clear()


def _prefix_of(module: str) -> str:
    first, _, rest = module.partition(".")
    plugin = rest.partition(".")[0] if first == "steward_plugins" and rest else first
    return f"{plugin.strip('_').upper() or 'PLUGIN'}_"


def _names_of(kind: type[PluginSettings]) -> dict[str, list[str]]:
    """Return what each field may be called in the environment, by what an error calls it."""
    prefix = kind.model_config.get("env_prefix") or ""
    found: dict[str, list[str]] = {}
    for field, info in kind.model_fields.items():
        alias = info.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        named = [str(each) for each in choices if isinstance(each, str)]
        given = [each.upper() for each in named] or [f"{prefix}{field}".upper()]
        found |= dict.fromkeys((field, *named), given)
    return found


def _place() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in (
        "pydantic",
        "pydantic_settings",
        "abc",
        "steward",
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
