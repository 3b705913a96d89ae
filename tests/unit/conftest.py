"""A ledger of its own for each test that asks; tests/unit/ledger has one on each database."""

import pytest

from steward.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    yield ledger
    ledger.close()
