"""The pytest plugin: fixtures with which the author of a plugin tests it, with real letters and real files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# A test run that has nothing to do with Steward loads this file as well: it imports nothing heavy until it is used.
if TYPE_CHECKING:
    from steward.installation.settings import Settings
    from steward.mail.transports.captured import CapturedMessage
    from steward.worker.dry_run import DryRun
    from steward.worker.engines.immediate import ImmediateTaskService


class Outbox:
    """The letters that a test's tasks have sent. Iterate it, take `[-1]`, or clear it between two steps."""

    def __init__(self, trial: DryRun) -> None:
        self._trial, self._seen = trial, 0

    def __iter__(self) -> Iterator[CapturedMessage]:
        return iter(self._trial.messages()[self._seen :])

    def __len__(self) -> int:
        return len(self._trial.messages()) - self._seen

    def __getitem__(self, index: int) -> CapturedMessage:
        return list(self)[index]

    def clear(self) -> None:
        """Forget the letters up to now."""
        self._seen = len(self._trial.messages())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `steward_plugins` to pytest's settings."""
    parser.addini("steward_plugins", "Folder of the Steward plugins to test.", default="")


@pytest.fixture
def steward_plugins(request: pytest.FixtureRequest) -> Path:
    """The folder of the plugins to test; a test may define this fixture itself.

    It is named by the pytest setting `steward_plugins`, or by STEWARD_PLUGINS_DIR, or is `plugins` beside pytest's own
    settings.
    """
    asked = str(request.config.getini("steward_plugins")) or os.environ.get("STEWARD_PLUGINS_DIR") or "plugins"
    return request.config.rootpath / asked


@pytest.fixture
def steward_source() -> str:
    """The SQLAlchemy URL of the application's database, none here; a test may define this fixture itself."""
    return ""


@pytest.fixture
def steward_settings(
    steward_plugins: Path, steward_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings of the test's installation, in a folder of its own. No STEWARD_ variable counts."""
    from steward.installation import settings

    for name in [name for name in os.environ if name.startswith("STEWARD_")]:
        monkeypatch.delenv(name)
    own = steward_plugins.is_dir() and not steward_plugins.samefile(settings.shipped("plugins"))
    return settings.load(
        data_dir=tmp_path / "steward",
        plugins_dir=steward_plugins if own else None,
        mail_from="Steward <steward@example.org>",
        source_url=steward_source,
        free_space_mb=0,
    )


@pytest.fixture
def steward_installation(steward_settings: Settings) -> Iterator[DryRun]:
    """An installation of this test's own; `.steward`, `.service`, `.messages()` and `.files(task)`."""
    from steward.worker.dry_run import trial

    with trial(steward_settings) as made:
        yield made


@pytest.fixture
def steward_service(steward_installation: DryRun) -> ImmediateTaskService:
    """Hands tasks over; each is performed before the call returns."""
    return steward_installation.service


@pytest.fixture
def outbox(steward_installation: DryRun) -> Outbox:
    """The letters that were sent."""
    return Outbox(steward_installation)
