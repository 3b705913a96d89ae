"""The pytest plugin: fixtures with which the author of a plugin tests it, with real letters and real files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# A test run that has nothing to do with Steward loads this file as well: it imports nothing heavy until it is used.
if TYPE_CHECKING:
    from steward.services.immediate import ImmediateTaskService
    from steward.settings import Settings
    from steward.transports.outbox import Captured
    from steward.trial import Trial


class Outbox:
    """The letters that a test's tasks have sent. Iterate it, take `[-1]`, or clear it between two steps."""

    def __init__(self, trial: Trial) -> None:
        self._trial, self._seen = trial, 0

    def __iter__(self) -> Iterator[Captured]:
        return iter(self._trial.messages()[self._seen :])

    def __len__(self) -> int:
        return len(self._trial.messages()) - self._seen

    def __getitem__(self, index: int) -> Captured:
        return list(self)[index]

    def clear(self) -> None:
        """Forget the letters up to now."""
        self._seen = len(self._trial.messages())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `steward_plugins` to pytest's settings."""
    parser.addini("steward_plugins", "Folder of the Steward plugins to test.", default="")


@pytest.fixture
def steward_settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the test's installation: a folder of its own, and the plugins that are to be tested.

    They are those of the pytest setting `steward_plugins`, or of STEWARD_PLUGINS_DIR, or of `plugins/` beside
    pytest's settings. No other STEWARD_ variable counts.
    """
    from steward import settings

    asked = str(request.config.getini("steward_plugins")) or os.environ.get("STEWARD_PLUGINS_DIR") or "plugins"
    for name in [name for name in os.environ if name.startswith("STEWARD_")]:
        monkeypatch.delenv(name)
    folder = request.config.rootpath / asked
    own = folder.is_dir() and not folder.samefile(settings.shipped("plugins"))
    return settings.load(
        data_dir=tmp_path / "steward", plugins_dir=folder if own else None, mail_from="Steward <steward@example.org>"
    )


@pytest.fixture
def steward_installation(steward_settings: Settings) -> Iterator[Trial]:
    """An installation of this test's own; `.steward`, `.service`, `.messages()` and `.files(task)`."""
    from steward.trial import trial

    with trial(steward_settings) as made:
        yield made


@pytest.fixture
def steward_service(steward_installation: Trial) -> ImmediateTaskService:
    """Hands tasks over; each is performed before the call returns."""
    return steward_installation.service


@pytest.fixture
def outbox(steward_installation: Trial) -> Outbox:
    """The letters that were sent."""
    return Outbox(steward_installation)
