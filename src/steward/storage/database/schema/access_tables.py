"""The ledger's tables of who may come in: keys, people, their sign-in links, and who is signed in."""

from __future__ import annotations

import sqlalchemy as sa

from steward.storage.database.schema.metadata import Time, metadata

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.String(200), nullable=False),
    # The names of the tasks that it is limited to, with blanks between them; none for every task.
    sa.Column("only", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("used_at", Time),
    sa.Column("revoked_at", Time),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False, unique=True),
    sa.Column("scopes", sa.String(200), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("invited_at", Time, nullable=False),
    sa.Column("signed_in_at", Time),
)

links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(36), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
    sa.Column("used_at", Time),
)

sessions = sa.Table(
    "sessions",
    metadata,
    # Who is signed in: the hash of what the cookie holds, and the key or person that it came from.
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("caller_id", sa.String(36), nullable=False),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("expires_at", Time, nullable=False),
)
