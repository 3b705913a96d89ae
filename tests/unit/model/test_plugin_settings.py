"""A plugin's settings reach its functions from the environment and the file; wrong ones break it in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, field_validator

from steward import PluginSettings, Rejected, Secret
from steward.errors import InvalidRequest, PluginError
from steward.installation.settings import load as load_settings
from steward.model.declaration import plugin_settings
from steward.plugins.registry import load
from steward.worker.dry_run import trial

TEXT = """
import os
from pydantic import BaseModel, Field
from steward import Note, PluginSettings, Rejected, Secret, handler, hookimpl

class Order(BaseModel):
    n: int = 1

class Dues(PluginSettings):
    token: Secret
    most: int = Field(9, ge=1)

def look(order: Order, settings: Dues):
    if order.n > settings.most:
        raise Rejected(f"More than {settings.most}")

@handler(example=Order(), check=look)
def collect(order: Order, settings: Dues):
    if order.n == 2:
        raise RuntimeError(f"{settings.token.reveal()} was refused")
    return Note(f"{len(settings.token.reveal())} of {settings.most}, {settings.token.reveal()}, {os.environ['OTHER']}")

@hookimpl
def register_handlers():
    return [collect]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with the plugin `dues`; what a test passes on to the environment is gone afterwards."""
    for name in [name for name in os.environ if name.startswith(("DUES_", "OTHER"))]:
        monkeypatch.delenv(name)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "dues.py").write_text(TEXT)
    yield tmp_path
    plugin_settings.take_back()


@pytest.mark.parametrize("hosted", [False, True])
def test_the_file_reaches_the_handler_its_check_and_whoever_reads_the_environment(folder: Path, hosted: bool) -> None:
    (folder / "settings.env").write_text("DUES_TOKEN=hush-hush\ndues_most=7\nOTHER=there\nSTEWARD_FREE_SPACE_MB=0\n")
    chosen = load_settings(folder / "settings.env", data_dir=folder / "data", plugins_dir=folder / "plugins")
    with trial(chosen, hosted=hosted) as made:
        task = made.service.get_status(made.service.enqueue("collect"))
        failed = made.service.get_status(made.service.enqueue("collect", n=2))
        with pytest.raises(InvalidRequest, match="More than 7"):
            made.service.enqueue("collect", n=8)
    assert (task.state, task.note) == ("succeeded", "9 of 7, ••••••••, there"), task.error
    assert "•••••••• was refused" in str(failed.error)
    assert "hush" not in repr(failed)


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "mine")
    (folder / "settings.env").write_text("OTHER=there\nDUES_MOST=1\nno name\n")
    plugin_settings.pass_on(folder / "settings.env")
    assert (os.environ["OTHER"], os.environ["DUES_MOST"]) == ("mine", "1")
    (folder / "settings.env").write_text("DUES_MOST=2\n")  # a file that was changed, read once more
    plugin_settings.pass_on(folder / "settings.env")
    assert os.environ["DUES_MOST"] == "2"
    plugin_settings.take_back()
    assert os.environ["OTHER"] == "mine"
    assert "DUES_MOST" not in os.environ


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "DUES_TOKEN: it is not set"),
        ({"DUES_TOKEN": "hush-hush", "DUES_MOST": "0"}, "DUES_MOST: Input should be greater than or equal to 1"),
        ({"DUES_TOKEN": "hush-hush", "DUES_MOST": "hush-hush"}, "DUES_MOST: Input should be a valid integer"),
        ({"DUES_TOKEN": ""}, "DUES_TOKEN: must not be empty"),
    ],
)
def test_settings_that_cannot_be_used_break_their_plugin_alone(folder, monkeypatch, given, words) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    registry = load([folder / "plugins"], entry_points=False)
    [plugin] = registry.plugins
    assert (plugin.name, registry.handlers) == ("dues", {})
    assert words in plugin.error
    assert "hush" not in plugin.error


class Kinds(PluginSettings, env_prefix="KINDS_"):
    one: SecretStr = SecretStr("one-of-pydantic")
    two: Secret = Secret("two-of-ours")
    many: tuple[int, ...] = ()
    named: dict[str, int] = Field({})
    wide: str = Field("", validation_alias="A_NAME_OF_ITS_OWN")
    checked: str = ""

    @field_validator("checked")
    @classmethod
    def _no(cls, value: str) -> str:
        if value:
            raise ValueError(f"{value} is of no use")
        return value


def test_both_kinds_of_secrets_are_masked_and_no_others() -> None:
    assert plugin_settings.secrets([Kinds(), "one"]) == ["two-of-ours", "one-of-pydantic"]
    assert "of-" not in repr(Kinds())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KINDS_MANY", "hush-hush", "KINDS_MANY: it has to be JSON"),
        ("KINDS_NAMED", '{"hush": 1, "hush": 2}', "KINDS_NAMED: it has to be JSON"),
        ("KINDS_MANY", '["hush-hush"]', "KINDS_MANY.0: Input should be a valid integer"),
        ("KINDS_CHECKED", "hush-hush", "KINDS_CHECKED: •••••••• is of no use"),
    ],
)
def test_no_error_shows_a_value(monkeypatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Rejected) as refused:
        Kinds()
    assert words in str(refused.value)
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_setting_may_have_a_name_of_its_own(monkeypatch) -> None:
    monkeypatch.setenv("A_NAME_OF_ITS_OWN", "x")
    assert Kinds().wide == "x"
    assert "A_NAME_OF_ITS_OWN" in plugin_settings.names(Kinds)


@pytest.mark.parametrize("prefix", ["STEWARD_", "steward_dues_", "1_", "A B"])
def test_names_that_are_ours_or_none_are_refused_with_file_and_line(prefix: str) -> None:
    with pytest.raises(PluginError, match=r"test_plugin_settings\.py:\d+"):

        class Wrong(PluginSettings, env_prefix=prefix):
            token: str = ""


def test_a_field_may_not_take_a_name_of_ours() -> None:
    with pytest.raises(PluginError, match="STEWARD_SMTP_URL"):

        class Wrong(PluginSettings, env_prefix="W_"):
            url: str = Field("", validation_alias="STEWARD_SMTP_URL")


@pytest.mark.parametrize(
    ("module", "prefix"),
    [
        ("steward_plugins.dues", "DUES_"),
        ("steward_plugins.dues.inside", "DUES_"),
        ("my_package.dues", "MY_PACKAGE_"),
        ("dues", "DUES_"),
    ],
)
def test_the_names_begin_with_the_plugin_s(module: str, prefix: str) -> None:
    made = type("Made", (PluginSettings,), {"__module__": module, "__annotations__": {"token": str}, "token": ""})
    assert plugin_settings.names(made) == [f"{prefix}TOKEN"]
