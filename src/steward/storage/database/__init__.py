"""The record of every task: what was asked, every attempt, each delivery, each artifact, who did what."""

from sqlalchemy import Connection

from steward.storage.database.ledger import Ledger

__all__ = ["Connection", "Ledger"]
