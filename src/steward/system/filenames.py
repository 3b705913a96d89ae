"""Names of files that people get: harmless on any machine, and told apart where several go together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

LONGEST: Final = 120
"""Bytes of a name. File systems take 255 (NAME_MAX); zip programs, mail readers and our own numbers need some."""

_SEPARATORS: Final = '/\\:*?"<>|'
_RESERVED: Final = re.compile(r"(?i)con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$")
"""What Windows takes for a device, whatever follows the first dot."""
_ENDING: Final = re.compile(r"[0-9A-Za-z]{1,8}")


def harmless(name: str, otherwise: str = "file") -> str:
    """Return `name` as a file name that does no harm anywhere, as near to what was meant as may be.

    It names no folder, holds no control or invisible character, is not hidden, is no device of Windows, is in the
    normal form C of Unicode, and has at most `LONGEST` bytes; its ending stays. What is nothing becomes `otherwise`.
    """
    text = unicodedata.normalize("NFC", name.encode(errors="replace").decode())
    kept = "".join("_" if c in _SEPARATORS or unicodedata.category(c)[0] == "C" else c for c in text)
    stem, ending = split(kept.rstrip(" ."))
    stem = stem.strip(" .") or otherwise
    if _RESERVED.fullmatch(stem.partition(".")[0].rstrip(" ")):
        stem = f"_{stem}"
    return f"{_cut(stem, LONGEST - len(ending)) or otherwise}{ending}"


def split(name: str) -> tuple[str, str]:
    """Return `name` as its stem and its ending with the dot, which is empty where there is none."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending}") if dot and _ENDING.fullmatch(ending) else (name, "")


def apart(name: str, others: Iterable[str]) -> str:
    """Return `name`, with a number before its ending if a name of `others` would be the same to a file system.

    Some tell neither capitals from small letters nor one way to write a letter with an accent from another.
    """
    taken = {folded(other) for other in others}
    found, number = name, 1
    while folded(found) in taken:
        number += 1
        stem, ending = split(name)
        mark = f" ({number})"
        found = f"{_cut(stem, LONGEST - len(mark) - len(ending))}{mark}{ending}"
    return found


def all_apart(names: Iterable[str]) -> list[str]:
    """Return `names` in their order, each told apart from those before it."""
    found: list[str] = []
    for name in names:
        found.append(apart(name, found))
    return found


def folded(name: str) -> str:
    """Return the form in which two names are equal if some file system takes them for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _cut(stem: str, room: int) -> str:
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .")
