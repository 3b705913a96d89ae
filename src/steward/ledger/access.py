"""Who may come in: API keys and one-time sign-in links, of which only hashes are kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from steward.clock import SECOND, moment, new_id, now
from steward.errors import InvalidOption, UnknownTask
from steward.ledger.schema import api_keys, links
from steward.sealing import token_hash

SCOPES = ("send", "read", "reports", "operate")
"""send: hand over tasks; read: see them; reports: ask for and download reports; operate: see and change everybody's."""

LINK_LIFE = 15 * 60
"""Longest life of a sign-in link, in seconds."""

_RECENTLY = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Key:
    """A key as listed; the key itself is shown once, when it is made."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and what they may do; `link` is the hash of the link that a person has signed in with."""

    name: str
    scopes: frozenset[str]
    key_id: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A person who was given sign-in links; scopes are those of the newest. `open` says whether one can be used now."""

    name: str
    scopes: tuple[str, ...]
    invited_at: datetime
    signed_in_at: datetime | None
    open: bool


def parse_scopes(scopes: tuple[str, ...] | list[str]) -> str:
    """Return `scopes` as stored.

    Raises:
        InvalidOption: a scope does not exist.
    """
    wrong = [s for s in scopes if s not in SCOPES]
    if wrong or not scopes:
        raise InvalidOption(
            f"There is no scope '{wrong[0]}'" if wrong else "A key needs at least one scope",
            remedy=f"The scopes are {', '.join(SCOPES)}",
        )
    return " ".join(s for s in SCOPES if s in scopes)


def create_key(connection: sa.Connection, name: str, scopes: list[str]) -> tuple[Key, str]:
    """Make a key and return it with its token, `stw_` and 43 characters, which cannot be shown again."""
    token = f"stw_{secrets.token_urlsafe(32)}"
    created = now()
    values = {"id": new_id(), "name": name, "scopes": parse_scopes(scopes), "created_at": created}
    connection.execute(api_keys.insert().values(**values, hash=token_hash(token)))
    return Key(str(values["id"]), name, tuple(str(values["scopes"]).split()), moment(created)), token


def list_keys(connection: sa.Connection) -> list[Key]:
    """Return every key, newest first."""
    rows = connection.execute(sa.select(api_keys).order_by(api_keys.c.id.desc()))
    return [
        Key(r.id, r.name, tuple(r.scopes.split()), moment(r.created_at), moment(r.used_at), moment(r.revoked_at))
        for r in rows
    ]


def revoke_key(connection: sa.Connection, id_or_name: str) -> int:
    """End the key with this id, or all of this name; return how many were ended.

    Raises:
        UnknownTask: there is no such key.
    """
    ended = connection.execute(
        api_keys.update()
        .where(sa.or_(api_keys.c.id == id_or_name, api_keys.c.name == id_or_name), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now())
    ).rowcount
    if not ended:
        raise UnknownTask(f"There is no key '{id_or_name[:80]}' in use", remedy="List them with: steward key list")
    return ended


def caller_of(connection: sa.Connection, token: str) -> tuple[Caller | None, bool]:
    """Return who holds `token`, or None; and whether its time of use is worth noting (at most once a minute)."""
    row = connection.execute(
        sa.select(api_keys).where(api_keys.c.hash == token_hash(token), api_keys.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None:
        return None, False
    stale = row.used_at is None or row.used_at < now() - _RECENTLY
    return Caller(row.name, frozenset(row.scopes.split()), row.id), stale


def key_stands(connection: sa.Connection, key_id: str) -> bool:
    """Return whether the key with this id is still in use."""
    found = sa.select(sa.literal(1)).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.scalar(found) is not None


def note_use(connection: sa.Connection, key_id: str) -> None:
    """Record that a key has been used just now, unless another does so at this moment: nobody waits for that."""
    free = sa.select(api_keys.c.id).where(api_keys.c.id == key_id).with_for_update(skip_locked=True)
    connection.execute(api_keys.update().where(api_keys.c.id.in_(free)).values(used_at=now()))


def create_link(connection: sa.Connection, name: str, scopes: list[str], seconds: int = LINK_LIFE) -> str:
    """Make a one-time sign-in link for `name` and return its token."""
    token = secrets.token_urlsafe(32)
    made = now()
    connection.execute(
        links.insert().values(
            hash=token_hash(token),
            name=name,
            scopes=parse_scopes(scopes),
            created_at=made,
            expires_at=made + min(seconds, LINK_LIFE) * SECOND,
        )
    )
    return token


def link_stands(connection: sa.Connection, token: str) -> bool:
    """Return whether the link could be used now; it is not ended by asking."""
    found = sa.select(sa.literal(1)).where(
        links.c.hash == token_hash(token), links.c.used_at.is_(None), links.c.expires_at > now()
    )
    return connection.scalar(found) is not None


def use_link(connection: sa.Connection, token: str) -> Caller | None:
    """Return who the link was made for and end it; None if it is unknown, used or over."""
    moment_now = now()
    row = connection.execute(
        links.update()
        .where(links.c.hash == token_hash(token), links.c.used_at.is_(None), links.c.expires_at > moment_now)
        .values(used_at=moment_now)
        .returning(links.c.name, links.c.scopes, links.c.hash)
    ).one_or_none()
    return None if row is None else Caller(row.name, frozenset(row.scopes.split()), link=row.hash)


def session_stands(connection: sa.Connection, caller: Caller) -> bool:
    """Return whether a session goes on: its key is in use, or the person who signed in by a link is not removed."""
    if caller.key_id:
        return key_stands(connection, caller.key_id)
    return connection.scalar(sa.select(sa.literal(1)).where(links.c.hash == caller.link)) is not None


def list_users(connection: sa.Connection) -> list[User]:
    """Return everybody who was given a sign-in link and is not removed, by name."""
    found: dict[str, list[sa.Row[Any]]] = {}
    for row in connection.execute(sa.select(links).order_by(links.c.name, links.c.created_at.desc())):
        found.setdefault(row.name, []).append(row)
    return [
        User(
            name,
            tuple(rows[0].scopes.split()),
            moment(rows[0].created_at),
            moment(max((r.used_at for r in rows if r.used_at is not None), default=None)),
            any(r.used_at is None and r.expires_at > now() for r in rows),
        )
        for name, rows in found.items()
    ]


def remove_user(connection: sa.Connection, name: str) -> None:
    """End every sign-in link of this name, and with them the sessions that they have opened.

    Raises:
        UnknownTask: nobody of this name was given one.
    """
    if not connection.execute(links.delete().where(links.c.name == name)).rowcount:
        raise UnknownTask(f"There is no user '{name[:80]}'", remedy="List them with: steward user list")
