"""Settings and their errors."""

import stat
import threading

import pytest

from steward.errors import ConfigurationError
from steward.installation import settings


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("RETRY_DELAYS", each) for each in ("[NaN]", "[-1]", "[Infinity]", "[1e300]", "30", "[30,", '["x"]')),
        *(("SMTP_CONNECTIONS", each) for each in ("0", "-1", "nan", "1.5", "65")),
        *((each, "-1") for each in ("SMTP_IN_FLIGHT", "FREE_SPACE_MB", "RETENTION_DAYS", "BACKUPS_KEPT", "PORT")),
        ("SCHEDULES", "every day"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_in_words(monkeypatch, name, value):
    monkeypatch.setenv(f"STEWARD_{name}", value)
    with pytest.raises(ConfigurationError, match=f"STEWARD_{name}"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("SCHEDULES", '[{"name": "purge", "cron": "0 4 * * 0", "name": "backup"}]', "SCHEDULES: it has to be JSON: "),
        ("SCHEDULES", '[{"name": "purge", "cron": "0 4 * * 0", "payload": {"a": 1, "a": 2}}]', "SCHEDULES: it has"),
        ("SCHEDULES", "purge", "SCHEDULES: it has to be JSON: "),
        ("RETRY_DELAYS", "30, 120", "RETRY_DELAYS: it has to be JSON: "),
        ("RETRY_DELAYS", "[NaN]", "RETRY_DELAYS: it has to be JSON: "),
    ],
)
def test_the_json_of_a_setting_is_read_strictly(monkeypatch, tmp_path, name, text, words):
    monkeypatch.setenv(f"STEWARD_{name}", text)
    with pytest.raises(ConfigurationError) as refused:
        settings.load()
    assert f"STEWARD_{words}" in str(refused.value)
    monkeypatch.delenv(f"STEWARD_{name}")
    (tmp_path / "env").write_text(f"STEWARD_{name}='{text}'\n")
    with pytest.raises(ConfigurationError, match=f"STEWARD_{name}: it has to be JSON"):
        settings.load(tmp_path / "env")


def test_the_json_of_settings_is_read(monkeypatch):
    monkeypatch.setenv("STEWARD_SCHEDULES", '[{"name": "purge", "cron": "0 4 * * 0"}]')
    monkeypatch.setenv("STEWARD_RETRY_DELAYS", "[30, 120.5]")
    found = settings.load()
    assert ([each.name for each in found.schedules], found.retry_delays) == (["purge"], (30, 120.5))
