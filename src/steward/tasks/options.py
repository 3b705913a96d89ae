"""Reads the options of a hand-over: what cannot be honoured is refused before anything is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from steward.errors import InvalidOption
from steward.model.declaration.handler import Handler
from steward.model.service import Options
from steward.system.clock import LATEST, SECOND, micros

LONGEST_KEY = 255
HIGHEST_PRIORITY = 100


def times(handler: Handler, options: Options, moment: int) -> tuple[int, int | None]:
    """Return when a task that is handed over at `moment` is due and when it expires, in microseconds.

    Raises:
        InvalidOption: a time that cannot be kept and shown, or that would expire before it is due.
    """
    try:
        due = moment if options.run_at is None else max(micros(options.run_at), moment)
        expires = None if options.expires_at is None else micros(options.expires_at)
    except ValueError as error:
        raise InvalidOption("A time cannot be used", str(error)) from error
    if expires is None and handler.expires_after is not None:
        expires = min(due + int(handler.expires_after.total_seconds() * SECOND), LATEST)
    if expires is not None and expires <= due:
        raise InvalidOption(
            "The task would expire before it starts",
            "expires_at is not after the time it is due",
            "Choose a later expires_at",
        )
    return due, expires


def priority(handler: Handler, options: Options) -> int:
    """Return the priority that is asked for, or the handler's own.

    Raises:
        InvalidOption: it is no whole number from -100 to 100.
    """
    found = handler.priority if options.priority is None else options.priority
    if type(found) is not int or not -HIGHEST_PRIORITY <= found <= HIGHEST_PRIORITY:
        raise InvalidOption(
            f"The priority {str(found)[:40]} cannot be used",
            "It is a whole number from -100 to 100, higher first",
        )
    return found


def require_key(key: Any) -> None:
    """Return if `key`, an idempotency key or None, can be used.

    Raises:
        InvalidOption: it is empty, too long, or not printable.
    """
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise InvalidOption("The key cannot be used", f"It needs 1 to {LONGEST_KEY} printable characters")


def as_text(name: str, value: Any) -> str:
    """Return `value`, an option or part of a query, which every store can keep and compare.

    Raises:
        InvalidOption: it is no text, or holds what has no form in UTF-8 (a lone surrogate).
    """
    if not isinstance(value, str):
        raise InvalidOption(f"{name} cannot be used", f"It is no text but of type {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidOption(f"{name} cannot be used", "It holds bytes that are no UTF-8") from error
    return value


def later(options: Options, run_at: datetime | None) -> Options:
    """Return `options` with the time of a scheduled task.

    Raises:
        InvalidOption: there is none.
    """
    if run_at is None:
        raise InvalidOption("No time was given", "A scheduled task needs run_at", "Use enqueue to have it done now")
    return replace(options, run_at=run_at)
