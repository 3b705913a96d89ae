"""What `steward check` says of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from steward.cli import checks
from steward.errors import ConfigurationError
from steward.installation.container import Steward
from steward.installation.settings import load

TOLD = "Mail servers elsewhere will not take letters from steward@localhost.localdomain"


def said_of(tmp_path: Path, **settings: str) -> list[str]:
    steward = Steward(load(data_dir=tmp_path, **settings))
    try:
        return [f"{level} {words}" for level, words, *_ in checks.settings(steward)]
    finally:
        steward.close()


def test_a_sender_that_nobody_else_takes_is_told_of_where_mail_is_sent(tmp_path):
    production = {"env": "production", "smtp_url": "smtp+plain://127.0.0.1:25", "base_url": "https://x.example.org"}
    assert not any(TOLD in each for each in said_of(tmp_path))
    assert sum(each.startswith(f"warn {TOLD}") for each in said_of(tmp_path, **production)) == 1
    well = said_of(tmp_path, mail_from="Local 214 <office@local214.org>", **production)
    assert [each.split()[0] for each in well] == ["ok"]


def test_a_sender_that_cannot_be_used_is_told_with_what_to_write(tmp_path):
    with pytest.raises(ConfigurationError, match="STEWARD_MAIL_FROM is not one sender"):  # `check` says FAIL of it
        said_of(tmp_path, mail_from="the office")
