"""Settings and their errors."""

import os
import stat
import threading

import pytest

from steward import settings
from steward.errors import ConfigurationError


def test_a_wrong_value_is_named(monkeypatch):
    monkeypatch.setenv("STEWARD_PORT", "ninety")
    with pytest.raises(ConfigurationError, match="STEWARD_PORT"):
        settings.load()


def test_the_secret_key_is_made_once_and_private(tmp_path):
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(settings.load(data_dir=tmp_path).key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 32
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_mail_is_captured_only_outside_production(tmp_path):
    assert settings.load(data_dir=tmp_path).captures_mail
    assert not settings.load(data_dir=tmp_path, smtp_url="smtp://mail:25").captures_mail
    assert not settings.load(data_dir=tmp_path, env="production").captures_mail


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
    assert settings.ignored() == [f"The variable {name} is no setting and is ignored; {near}"]


def test_a_line_of_the_file_that_no_setting_has_is_named_and_does_not_stop_the_start(alone, tmp_path):
    file = tmp_path / "settings.env"
    file.write_text(
        "# the office's\nexport STEWARD_HOST=127.0.0.2\nsteward_port=9\nSTEWARD_SMPT_URL=smtp://a:hush@b\nPORT=1\n"
        "STEWARD_URL=http://x\nPOSTGRES_PASSWORD=hush\nhush\n"
    )
    assert (settings.load(file).host, settings.load(file).port) == ("127.0.0.2", 9)
    said = settings.ignored(file)
    assert said == [
        f"STEWARD_SMPT_URL in {file} is no setting and is ignored; did you mean STEWARD_SMTP_URL?",
        f"PORT in {file} is no setting and is ignored; did you mean STEWARD_PORT?",
        f"STEWARD_URL in {file} is ignored; it is read from the environment alone",
        f"POSTGRES_PASSWORD in {file} is no setting and is ignored; docs/settings.md lists what there is",
        f"A line in {file} is not NAME=value and is ignored",
    ]
    assert "hush" not in str(said)


def test_what_there_is_is_not_told(alone, tmp_path):
    for name in settings.Settings.model_fields:
        alone.setenv(f"STEWARD_{name.upper()}", "x")
    for name in settings.COMMANDS_OWN:
        alone.setenv(name, "x")
    alone.setenv("Steward_Port", "1")
    alone.setenv("STEWARDSHIP", "x")
    assert settings.ignored() == []


def test_a_setting_that_a_program_gives_must_exist():
    with pytest.raises(ConfigurationError, match="'prot'"):
        settings.load(prot=1)


def test_plugins_and_templates_are_found():
    assert settings.shipped("templates").is_dir()
    assert settings.shipped("plugins").is_dir()


@pytest.mark.parametrize("name", ["app.example.org", "app", "[192.0.2.7]", "[IPv6:2001:db8::7]", ""])
def test_a_name_to_greet_mail_servers_by_is_a_host_or_an_address(name):
    assert settings.load(smtp_hello_name=name).smtp_hello_name == name


@pytest.mark.parametrize("name", ["app example", "app\r\nMAIL", "-x.org", "x..org", "[x y]", "é.org", "x" * 300])
def test_any_other_name_to_greet_by_is_refused_in_words(name):
    with pytest.raises(ConfigurationError, match="SMTP_HELLO_NAME"):
        settings.load(smtp_hello_name=name)


def test_proxies_are_addresses_and_networks(tmp_path):
    assert settings.load(data_dir=tmp_path).proxies == []
    chosen = settings.load(data_dir=tmp_path, trusted_proxies=" 10.1.2.3/16, 2001:db8::/32 ,192.0.2.7")
    assert chosen.proxies == [
        *("10.1.0.0/16", "2001:db8::/32", "192.0.2.7/32"),
        *("::ffff:10.1.0.0/112", "::ffff:192.0.2.7/128"),
    ]


@pytest.mark.parametrize("text", ["*", "nginx", "10.0.0.0/99", "10.0.0.1 10.0.0.2"])
def test_what_is_no_address_of_a_proxy_is_refused_in_words(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"STEWARD_TRUSTED_PROXIES.*neither an address nor a network"):
        settings.load(data_dir=tmp_path, trusted_proxies=text)
