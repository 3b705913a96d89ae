"""A ledger or an installation of its own for each test that asks; tests/unit/storage has a ledger on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steward.installation.container import Steward
from steward.installation.settings import load
from steward.storage.database import Ledger
from steward.system import masking


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    yield ledger
    ledger.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def steward(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Steward]:
    """An installation; a test that takes it runs once on each database."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = Steward(load(data_dir=tmp_path / "data", database_url=url, free_space_mb=0))
    _ = made.ledger
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    """Let each test begin without the passwords that others have had hidden: a process has one log, and one list."""
    monkeypatch.setattr(masking, "_hidden", set())
    monkeypatch.setattr(masking, "_pattern", None)
