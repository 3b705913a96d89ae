"""Names that no setting has are told with the nearest that there is, Steward's own and those of plugins."""

import os

import pytest
from pydantic import Field

from steward import PluginSettings
from steward.installation import setting_names, settings
from steward.model.declaration import plugin_settings


@pytest.fixture
def taken_back():
    """What a file has put into the environment is gone afterwards."""
    yield
    plugin_settings.take_back()


@pytest.fixture
def alone(monkeypatch):
    """No STEWARD_* of the machine's own."""
    for name in [name for name in os.environ if name.upper().startswith("STEWARD_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("STEWARD_SMPT_URL", "did you mean STEWARD_SMTP_URL?"),
        ("steward_wrkers", "did you mean STEWARD_WORKERS?"),
        ("STEWARD_DATABSE_URL", "did you mean STEWARD_DATABASE_URL?"),
        ("STEWARD_API_KEYS", "did you mean STEWARD_API_KEY?"),
        ("STEWARD_XYLOPHONE", "docs/settings.md lists what there is"),
    ],
)
def test_a_variable_that_no_setting_has_is_named_with_the_nearest(alone, name, near):
    alone.setenv(name, "hush")
    assert setting_names.ignored() == [f"The variable {name} is no setting and is ignored; {near}"]


@pytest.mark.usefixtures("taken_back")
def test_a_line_of_the_file_that_no_setting_has_is_named_and_does_not_stop_the_start(alone, tmp_path):
    file = tmp_path / "settings.env"
    file.write_text(
        "# the office's\nexport STEWARD_HOST=127.0.0.2\nsteward_port=9\nSTEWARD_SMPT_URL=smtp://a:hush@b\nPORT=1\n"
        "STEWARD_URL=http://x\nPOSTGRES_PASSWORD=hush\nhush\n"
    )
    assert (settings.load(file).host, settings.load(file).port) == ("127.0.0.2", 9)
    said = setting_names.ignored(file)
    assert said == [
        f"STEWARD_SMPT_URL in {file} is no setting and is ignored; did you mean STEWARD_SMTP_URL?",
        f"STEWARD_URL in {file} is ignored; it is read from the environment alone",
        f"A line in {file} is not NAME=value and is ignored",
    ]
    assert setting_names.unread([], file) == [f"PORT in {file} is no setting; did you mean STEWARD_PORT?"]
    assert "hush" not in str(said)
    assert os.environ["POSTGRES_PASSWORD"] == "hush"  # a plugin may read it


def test_what_there_is_is_not_told(alone, tmp_path):
    for name in settings.Settings.model_fields:
        alone.setenv(f"STEWARD_{name.upper()}", "x")
    for name in setting_names.COMMANDS_OWN:
        alone.setenv(name, "x")
    alone.setenv("Steward_Port", "1")
    alone.setenv("STEWARDSHIP", "x")
    assert setting_names.ignored() == []


class Books(PluginSettings, env_prefix="BOOKS_", env_nested_delimiter="__"):
    """What a plugin declares."""

    realm_id: str = ""
    accounts: dict[str, str] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("BOOKS_REALM_ID=1", ""),
        ("books_realm_id=1", ""),
        ("BOOKS_ACCOUNTS__TOOLS=61", ""),
        ("OTHER_TOKEN=1", ""),
        ("BOOKS_RELM_ID=1", "BOOKS_RELM_ID in {} is no setting; did you mean BOOKS_REALM_ID?"),
        ("BOKS_REALM_ID=1", "BOKS_REALM_ID in {} is no setting; did you mean BOOKS_REALM_ID?"),
        ("BOOKS_XYLOPHONE=1", "BOOKS_XYLOPHONE in {} is no setting of the plugin whose settings begin so"),
        ("SMTP_URL=1", "SMTP_URL in {} is no setting; did you mean STEWARD_SMTP_URL?"),
    ],
)
def test_a_line_meant_for_a_plugin_is_told_if_it_is_mistyped(alone, tmp_path, line, said):
    file = tmp_path / "settings.env"
    file.write_text(f"{line}\n")
    assert setting_names.unread([Books], file) == ([said.format(file)] if said else [])
    assert setting_names.ignored(file) == []


def test_a_variable_meant_for_a_plugin_is_told_if_it_is_mistyped(alone):
    alone.setenv("BOOKS_RELM_ID", "hush")
    alone.setenv("BOOKS_OF_ANOTHER_PROGRAM", "hush")
    assert setting_names.unread([Books]) == ["The variable BOOKS_RELM_ID is no setting; did you mean BOOKS_REALM_ID?"]
