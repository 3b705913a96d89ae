"""How the command tells a person what went wrong, and the exit code that tells a program."""

from __future__ import annotations

import sys

from steward.errors import (
    BrokerUnavailable,
    ConfigurationError,
    Conflict,
    InvalidRequest,
    NotFound,
    NotPermitted,
    SourceUnavailable,
    StewardError,
    StorageUnavailable,
    UnknownHandler,
    Unreachable,
)
from steward.system.masking import masked

FAILED, REFUSED, NOT_FOUND, UNAVAILABLE, ABORTED = 1, 2, 3, 4, 130
"""Exit codes beside 0: it failed; wrong usage or refused input; not found; store or server away; Ctrl-C."""

_CODES: tuple[tuple[type[StewardError], int], ...] = (
    (UnknownHandler, NOT_FOUND),
    (NotFound, NOT_FOUND),
    (InvalidRequest, REFUSED),
    (Conflict, REFUSED),
    (NotPermitted, REFUSED),
    (ConfigurationError, REFUSED),
    (StorageUnavailable, UNAVAILABLE),
    (BrokerUnavailable, UNAVAILABLE),
    (SourceUnavailable, UNAVAILABLE),
    (Unreachable, UNAVAILABLE),
)


def exit_code_of(error: StewardError) -> int:
    """Return the exit code that stands for `error`."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def tell(what: str, why: str = "", remedy: str = "") -> None:
    """Write what failed, why, and the remedy to standard error, a line each."""
    lines = [f"steward: {_sentence(what)}"]
    lines += [f"  {_sentence(part)}" for part in (why, remedy) if part]
    sys.stderr.write(masked("\n".join(lines)) + "\n")
    sys.stderr.flush()


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."
