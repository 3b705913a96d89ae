"""The key that encrypts secrets: judged if somebody chose it, and made and kept if nobody did."""

from __future__ import annotations

import re
import secrets
from itertools import pairwise
from pathlib import Path
from typing import Final

from steward.errors import ConfigurationError
from steward.system import private_files

SHORTEST: Final = 32
FILE: Final = "secret.key"
_REMEDY: Final = "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
_PLACEHOLDERS: Final = re.compile(
    "change.?me|change.?this|replace.?me|password|passwort|secret|default|insecure|example|steward|your|key|here|test",
    re.IGNORECASE,
)
_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "qwertzuiopü", "yxcvbnm")
_NEXT: Final = frozenset(two for row in _ROWS for way in (row, row[::-1]) for two in pairwise(way))


def chosen(key: str) -> bytes:
    """Return a key that somebody chose, as bytes.

    Raises:
        ConfigurationError: it is too short, or so regular that it can be guessed. The words do not show it.
    """
    if len(key) < SHORTEST:
        raise ConfigurationError(
            "STEWARD_SECRET_KEY is too short", f"It has {len(key)} characters, and needs {SHORTEST} or more", _REMEDY
        )
    why = weakness(key)
    if why:
        raise ConfigurationError("STEWARD_SECRET_KEY can be guessed", why, _REMEDY)
    return key.encode()


def weakness(key: str) -> str:
    """Return why a key of sufficient length is weak, or nothing.

    What 32 random digits, hexadecimal digits or letters look like by chance passes: fewer than one in ten thousand of
    the first, and next to none of the others, would be refused.
    """
    if len(set(key)) < 7:
        return f"It has only {len(set(key))} different characters"
    two = list(pairwise(key.lower()))
    if len(set(two)) < 20:
        return "It repeats itself"
    if sum(abs(ord(a) - ord(b)) <= 1 or (a, b) in _NEXT for a, b in two) > len(two) * 0.6:
        return "Its characters follow one another as in the alphabet or on a keyboard"
    if len(_PLACEHOLDERS.sub("", key)) < SHORTEST * 5 // 8:
        return "It is made of words that stand in examples"
    return ""


def kept(folder: Path) -> bytes:
    """Return the key that lies in `folder`; made once, with mode 0600.

    Raises:
        ConfigurationError: the folder cannot be used.
    """
    path = folder / FILE
    try:
        if not path.exists():
            private_files.make_folder(folder)
            draft = path.with_name(f".secret.{secrets.token_hex(4)}")
            private_files.make_file(draft).write_text(secrets.token_urlsafe(32))
            try:
                path.hardlink_to(draft)  # whoever links first has made the key
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        private_files.narrow(path)
        return path.read_text().encode()
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {folder} cannot be used",
            error.strerror or str(error),
            "Give this user the right to write there, or set STEWARD_DATA_DIR to another folder",
        ) from error
