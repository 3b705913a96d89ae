"""Connections to PostgreSQL: none waits for ever, none is used dead, and text is text whatever it holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

PATIENCE = {
    "fallback_application_name": "steward",
    "connect_timeout": 4,
    # A server that went away without a word is noticed within 15 seconds, also in the middle of a statement.
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


IDLE = 15_000
"""Milliseconds after which the session of a client that is frozen in the middle of a transaction is ended.

The server does so by itself, but not where a statement is sent for many rows at once (a pipeline) and the client stops
before the last: the timer runs only after what the server takes for the end of a command. `end_frozen` sees those too.
"""
_FROZEN = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
    " AND application_name = current_setting('application_name')"
    " AND xact_start IS NOT NULL AND wait_event = 'ClientRead'"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
)
_BUSY = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


def engine(url: sa.URL, patience: Callable[[], float] | None = None, **options: Any) -> sa.Engine:
    """Return an engine for `url`, which may leave the driver out (`postgresql://`).

    With `patience`, each session that it opens waits no longer than so many seconds for a row that another has locked.

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
    sa.event.listen(made, "connect", partial(_bounded, patience))
    return made


def end_frozen(connection: sa.Connection, seconds: float = IDLE / 1000) -> int:
    """End our sessions whose client has said nothing in the middle of a transaction for `seconds`; return how many."""
    return sum(map(bool, connection.scalars(_FROZEN, {"seconds": seconds})))


def is_busy(error: BaseException) -> bool:
    """Return whether `error` says that others had locked what was wanted."""
    return getattr(error, "sqlstate", None) in _BUSY


def has_table(connection: sa.Connection, name: str, schema: str) -> bool:
    """Return whether the database has a table of this name in `schema`; SQLite has no schemas."""
    return connection.dialect.name != "sqlite" and sa.inspect(connection).has_table(name, schema=schema)


def _bounded(patience: Callable[[], float] | None, connection: Any, record: Any) -> None:
    # For this session alone; what an operator has set for the role or the database is not touched.
    wanted = {"idle_in_transaction_session_timeout": IDLE, "tcp_user_timeout": PATIENCE["tcp_user_timeout"]}
    if patience is not None:
        wanted["lock_timeout"] = int(patience() * 1000)
    with connection.cursor() as cursor:
        for name, value in wanted.items():
            cursor.execute(f"SELECT set_config('{name}', '{value}', false)")
    connection.commit()


def _without_nul(connection: Any, record: Any) -> None:
    # SQLite keeps the character U+0000, PostgreSQL refuses it; a mail server's reply or an error may hold it.
    from psycopg.types.string import StrDumper

    class Clean(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)

    connection.adapters.register_dumper(str, Clean)
