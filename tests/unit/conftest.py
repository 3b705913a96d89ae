"""A ledger of its own for each test that asks; tests/unit/ledger has one on each database."""

import pytest

from steward import masking
from steward.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    yield ledger
    ledger.close()


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    """Let each test begin without the passwords that others have had hidden: a process has one log, and one list."""
    monkeypatch.setattr(masking, "_hidden", set())
    monkeypatch.setattr(masking, "_pattern", None)
