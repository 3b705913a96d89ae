"""Brings the tables up to date with Alembic, in one transaction: a migration that was killed has not begun."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

log = logging.getLogger(__name__)


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Migrate the store behind `engine` to `revision`. Safe to run again after a kill, and in several processes."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        connection.info["write"] = True  # one migrating process at a time
        try:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_lock(7261)"))
                connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        finally:
            connection.info.pop("write", None)
            if connection.dialect.name == "postgresql":
                connection.rollback()
                connection.execute(sa.text("SELECT pg_advisory_unlock(7261)"))
                connection.commit()
    log.info("the ledger is at its newest schema")
