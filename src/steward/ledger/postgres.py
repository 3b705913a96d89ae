"""Connections to PostgreSQL: none waits for ever, none is used dead, and text is text whatever it holds."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

PATIENCE = {
    "connect_timeout": 4,
    # A server that went away without a word is noticed within 15 seconds, also in the middle of a statement.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def engine(url: sa.URL, **options: Any) -> sa.Engine:
    """Return an engine for `url`, which may leave the driver out (`postgresql://`).

    Raises:
        ModuleNotFoundError: the driver is not installed.
    """
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    given = {name: value for name, value in PATIENCE.items() if name not in url.query}
    made = sa.create_engine(
        url,
        **{"hide_parameters": True, "pool_pre_ping": True, "pool_size": 10, "max_overflow": 20, "connect_args": given}
        | options,
    )
    sa.event.listen(made, "connect", _without_nul)
    return made


def _without_nul(connection: Any, record: Any) -> None:
    # SQLite keeps the character U+0000, PostgreSQL refuses it; a mail server's reply or an error may hold it.
    from psycopg.types.string import StrDumper

    class Clean(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)

    connection.adapters.register_dumper(str, Clean)
