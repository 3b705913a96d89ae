"""Who may come in: API keys, people with one-time sign-in links, and sessions; of each only hashes are kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from steward.errors import InvalidOption, UnknownKey, UnknownUser
from steward.model.caller import COMMAND_LINE, PROCESS, SCOPES, SERVICE, UNKNOWN, Caller, plain_name, proper_name
from steward.storage.database.schema.tables import api_keys, links, sessions, users
from steward.storage.encryption import token_hash
from steward.system.clock import SECOND, moment, new_id, now

LINK_LIFE = 15 * 60
"""Longest life of a sign-in link, in seconds."""

_RECENTLY = 60 * SECOND
_NAMES = 7263
_TRUSTED = {caller.id: caller for caller in (COMMAND_LINE, PROCESS, SERVICE, UNKNOWN)}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as listed; the key itself is shown once, when it is made. `only` is empty where it has no limit."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A person who was given sign-in links. `open` says whether one can be used now."""

    id: str
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


def create_key(connection: sa.Connection, name: str, scopes: list[str], only: Iterable[str] = ()) -> tuple[ApiKey, str]:
    """Make a key and return it with its token, `stw_` and 43 characters, which cannot be shown again.

    `only` names the tasks that it is limited to; without any it is limited by its scopes alone.

    Raises:
        InvalidOption: a scope does not exist, or the name cannot be used or is that of another key in use.
    """
    _one_at_a_time(connection)
    taken = connection.scalars(sa.select(api_keys.c.name).where(api_keys.c.revoked_at.is_(None)))
    token = f"stw_{secrets.token_urlsafe(32)}"
    values = {
        "id": new_id(),
        "name": proper_name(name, taken),
        "scopes": parse_scopes(scopes),
        "only": " ".join(sorted(set(only))) or None,
        "created_at": now(),
    }
    row = connection.execute(api_keys.insert().values(**values, hash=token_hash(token)).returning(api_keys)).one()
    return _key(row), token


def list_keys(connection: sa.Connection) -> list[ApiKey]:
    """Return every key, newest first."""
    return [_key(row) for row in connection.execute(sa.select(api_keys).order_by(api_keys.c.id.desc()))]


def revoke_key(connection: sa.Connection, id_or_name: str) -> int:
    """End the key with this id, or all of this name; return how many were ended.

    Raises:
        UnknownKey: there is no such key.
    """
    named = sa.or_(api_keys.c.id == id_or_name, api_keys.c.name.in_([id_or_name, plain_name(id_or_name)]))
    ended = connection.execute(
        api_keys.update().where(named, api_keys.c.revoked_at.is_(None)).values(revoked_at=now())
    ).rowcount
    if not ended:
        raise UnknownKey(f"There is no key '{id_or_name[:80]}' in use", remedy="List them with: steward key list")
    return ended


def caller_of(connection: sa.Connection, token: str) -> tuple[Caller | None, bool]:
    """Return who holds `token`, or None; and whether its time of use is worth noting (at most once a minute)."""
    row = connection.execute(
        sa.select(api_keys).where(api_keys.c.hash == token_hash(token), api_keys.c.revoked_at.is_(None))
    ).one_or_none()
    if row is None:
        return None, False
    return _holder(row), row.used_at is None or row.used_at < now() - _RECENTLY


def standing(connection: sa.Connection, caller_id: str) -> Caller | None:
    """Return what the caller of this id may do now; None if their key is revoked, or they are removed."""
    if caller_id in _TRUSTED:
        return _TRUSTED[caller_id]
    in_use = sa.select(api_keys).where(api_keys.c.id == caller_id, api_keys.c.revoked_at.is_(None))
    row = connection.execute(in_use).one_or_none()
    if row is not None:
        return _holder(row)
    row = connection.execute(sa.select(users).where(users.c.id == caller_id)).one_or_none()
    return None if row is None else Caller(row.id, row.name, frozenset(row.scopes.split()))


def note_use(connection: sa.Connection, key_id: str) -> None:
    """Record that a key has been used just now, unless another does so at this moment: nobody waits for that."""
    free = sa.select(api_keys.c.id).where(api_keys.c.id == key_id).with_for_update(skip_locked=True)
    connection.execute(api_keys.update().where(api_keys.c.id.in_(free)).values(used_at=now()))


def create_link(connection: sa.Connection, name: str, scopes: list[str], seconds: int = LINK_LIFE) -> str:
    """Make a one-time sign-in link for the person of this name and return its token.

    The scopes are the person's from now on, in sessions that are open as well.

    Raises:
        InvalidOption: a scope does not exist, or the name cannot be used.
    """
    _one_at_a_time(connection)
    token, made, allowed = secrets.token_urlsafe(32), now(), parse_scopes(scopes)
    kept = proper_name(name)
    known = {row.name.casefold(): row.id for row in connection.execute(sa.select(users.c.id, users.c.name))}
    user_id = known.get(kept.casefold())
    if user_id is None:
        user_id = new_id()
        values = {"id": user_id, "name": kept, "scopes": allowed, "created_at": made, "invited_at": made}
        connection.execute(users.insert().values(**values))
    else:
        connection.execute(users.update().where(users.c.id == user_id).values(scopes=allowed, invited_at=made))
    connection.execute(
        links.insert().values(
            hash=token_hash(token),
            user_id=user_id,
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
    at = now()
    user_id = connection.scalar(
        links.update()
        .where(links.c.hash == token_hash(token), links.c.used_at.is_(None), links.c.expires_at > at)
        .values(used_at=at)
        .returning(links.c.user_id)
    )
    if user_id is None:
        return None
    connection.execute(users.update().where(users.c.id == user_id).values(signed_in_at=at))
    return standing(connection, user_id)


def list_users(connection: sa.Connection) -> list[User]:
    """Return everybody who was given a sign-in link and is not removed, by name."""
    unused = sa.exists().where(links.c.user_id == users.c.id, links.c.used_at.is_(None), links.c.expires_at > now())
    rows = connection.execute(sa.select(users, unused.label("open")).order_by(users.c.name))
    return [
        User(r.id, r.name, tuple(r.scopes.split()), moment(r.invited_at), moment(r.signed_in_at), bool(r.open))
        for r in rows
    ]


def remove_user(connection: sa.Connection, name: str) -> None:
    """Remove the person of this name: their sign-in links and their sessions end.

    Raises:
        UnknownUser: there is nobody of this name.
    """
    named = users.c.name.in_([name, plain_name(name)])
    ids = list(connection.scalars(users.delete().where(named).returning(users.c.id)))
    if not ids:
        raise UnknownUser(f"There is no user '{name[:80]}'", remedy="List them with: steward user list")
    connection.execute(links.delete().where(links.c.user_id.in_(ids)))
    connection.execute(sessions.delete().where(sessions.c.caller_id.in_(ids)))


def open_session(connection: sa.Connection, caller: Caller, token: str, until: int) -> None:
    """Keep that `caller` is signed in with `token` until then (microseconds); forget sessions that are over."""
    at = now()
    connection.execute(sessions.delete().where(sessions.c.expires_at <= at))
    connection.execute(
        sessions.insert().values(hash=token_hash(token), caller_id=caller.id, created_at=at, expires_at=until)
    )


def signed_in(connection: sa.Connection, token: str) -> Caller | None:
    """Return who is signed in with `token`, and what they may do now; None if the session has ended."""
    opened = sa.select(sessions.c.caller_id).where(sessions.c.hash == token_hash(token), sessions.c.expires_at > now())
    caller_id = connection.scalar(opened)
    return None if caller_id is None else standing(connection, caller_id)


def end_session(connection: sa.Connection, token: str) -> None:
    """Sign out: the token is of no use any more, whoever has a copy of it."""
    connection.execute(sessions.delete().where(sessions.c.hash == token_hash(token)))


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    r = row._mapping
    scopes, only = tuple(r["scopes"].split()), tuple((r["only"] or "").split())
    return ApiKey(
        r["id"], r["name"], scopes, moment(r["created_at"]), moment(r["used_at"]), moment(r["revoked_at"]), only
    )


def _holder(row: sa.Row[tuple[object, ...]]) -> Caller:
    r = row._mapping
    only = None if r["only"] is None else frozenset(r["only"].split())
    return Caller(r["id"], r["name"], frozenset(r["scopes"].split()), only)


def _one_at_a_time(connection: sa.Connection) -> None:
    # A name is looked for and then taken. SQLite has one writer, and it has begun; PostgreSQL has many.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_NAMES})"))
