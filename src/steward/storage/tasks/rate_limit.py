"""Holds back a flood: at most so many tasks of one kind for one recipient, whoever asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa

from steward.errors import RateLimited
from steward.storage.database.schema.tables import tasks
from steward.system.clock import SECOND

Limits = Sequence[tuple[int, float]]
"""Pairs of a number of tasks and the seconds in which there may be so many."""

_AT_ONCE = 500
_SPANS = {60: "a minute", 3600: "an hour", 86400: "a day"}


AHEAD = 60 * SECOND
"""Microseconds by which another's acceptance may be ahead: its host's clock, or a writer that had to wait. What is
later was accepted before the clock was set back, and would keep everybody waiting until it is that late again."""


class RateLimitedTask(Protocol):
    """What is looked at of a task that is to be accepted; `created_at` in microseconds."""

    @property
    def name(self) -> str:
        """The handler's name."""

    @property
    def recipient(self) -> str | None:
        """Whom it is for, sealed to what can be compared."""

    @property
    def created_at(self) -> int:
        """When it was asked for."""

    @property
    def at_most(self) -> tuple[tuple[int, float], ...]:
        """The limits that its handler declares."""


def refuse(connection: sa.Connection, entries: Sequence[RateLimitedTask]) -> None:
    """Return if `entries` keep the limits that they carry, counted with what was accepted before.

    What became of those does not matter: a task that failed or was cancelled counts too. Other transactions that ask
    for the same recipients wait until this one has ended.

    Raises:
        RateLimited: one of them does not; `retry_after` says when it would.
    """
    for name, limits in {(entry.name, entry.at_most) for entry in entries if entry.at_most}:
        asked: dict[str, list[int]] = {}
        for entry in entries:
            if entry.name == name and entry.recipient is not None:
                asked.setdefault(entry.recipient, []).append(entry.created_at)
        _lock(connection, name, sorted(asked))
        before = _accepted(connection, name, sorted(asked), min(map(min, asked.values()), default=0), limits)
        for recipient, moments in asked.items():
            _keep(name, limits, before.get(recipient, []), moments)


def wait(limits: Limits, before: Iterable[int], at: int) -> int:
    """Return the microseconds that one more task at `at` would come too early, after those at `before`; 0 if none."""
    newest_first = sorted(before, reverse=True)
    # If the last `most` tasks fill the span, the oldest of them has to leave it first.
    waits = [
        newest_first[most - 1] + int(seconds * SECOND) - at for most, seconds in limits if len(newest_first) >= most
    ]
    return max(0, *waits) if waits else 0


def in_words(limits: Limits) -> str:
    """Return `limits` as a person says them: "1 a minute and 5 an hour"."""
    return " and ".join(f"{most} {_SPANS.get(int(seconds), f'in {seconds:g} seconds')}" for most, seconds in limits)


def _keep(name: str, limits: Limits, before: list[int], moments: list[int]) -> None:
    taken = list(before)
    for moment in moments:
        early = wait(limits, taken, moment)
        if early:
            seconds = math.ceil(early / SECOND)
            raise RateLimited(
                f"Too many tasks '{name}' for one address",
                f"At most {in_words(limits)} are taken, so that nobody can be flooded",
                f"Try again in {seconds} seconds",
                retry_after=seconds,
            )
        taken.append(moment)


def _accepted(
    connection: sa.Connection, name: str, recipients: list[str], at: int, limits: Limits
) -> Mapping[str, list[int]]:
    since = at - int(max(seconds for _, seconds in limits) * SECOND)
    found: dict[str, list[int]] = {}
    for first in range(0, len(recipients), _AT_ONCE):
        rows = connection.execute(
            sa.select(tasks.c.recipient, tasks.c.created_at).where(
                tasks.c.recipient.in_(recipients[first : first + _AT_ONCE]),
                tasks.c.name == name,
                tasks.c.created_at > since,
                tasks.c.created_at <= at + AHEAD,
            )
        )
        for row in rows:
            found.setdefault(row.recipient, []).append(row.created_at)
    return found


def _lock(connection: sa.Connection, name: str, recipients: list[str]) -> None:
    # SQLite has one writer, and it has begun. PostgreSQL has many: without a lock each would count without the others.
    if connection.dialect.name != "postgresql":
        return
    kind = sa.text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 0))")
    one = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
    if len(recipients) > 1:  # many locks would fill the server's table of them: nobody else of this kind, for once
        connection.execute(one, {"key": f"steward {name}"})
        return
    connection.execute(kind, {"key": f"steward {name}"})
    for recipient in recipients:
        connection.execute(one, {"key": f"steward {name} {recipient}"})
