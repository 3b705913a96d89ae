"""Settings and their errors."""

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


def test_a_short_key_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="too short"):
        _ = settings.load(data_dir=tmp_path, secret_key="short").key


def test_mail_is_captured_only_outside_production(tmp_path):
    assert settings.load(data_dir=tmp_path).captures_mail
    assert not settings.load(data_dir=tmp_path, smtp_url="smtp://mail:25").captures_mail
    assert not settings.load(data_dir=tmp_path, env="production").captures_mail


def test_plugins_and_templates_are_found():
    assert settings.shipped("templates").is_dir()
    assert settings.shipped("plugins").is_dir()
