"""Names the scripts that no font of this machine can show, and the Debian packages that bring fonts for them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

SAMPLES: Final = {
    "Arabic": "عضو",
    "Bengali": "সদস্য",
    "Chinese": "会员",
    "Cyrillic": "член",
    "Devanagari": "सदस्य",
    "Emoji": "🎉",
    "Greek": "μέλος",
    "Hebrew": "חבר",
    "Japanese": "メンバー",
    "Korean": "회원",
    "Tamil": "உறுப்பினர்",
    "Thai": "สมาชิก",
    "Vietnamese": "thành viên Đặng Nguyễn",
}
"""A word in each script that names are often written in, to try whether it can be shown."""

_FIRST: Final = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
_EAST_ASIAN: Final = ("Chinese", "Japanese", "Korean")
_EMOJI: Final = "Emoji"
_PACKAGES: Final = ("fonts-noto-core", "fonts-noto-cjk", "fonts-noto-color-emoji")


def script(character: str) -> str:
    """Return what the script of `character` is called: `Devanagari`, `Korean`, `Emoji`, or `symbols`.

    After the first word of the character's name in the Unicode Character Database: Python knows no scripts.
    """
    code = ord(character)
    if code >= 0x1F000 and unicodedata.category(character) in ("So", "Sk", "Cn"):
        return _EMOJI
    first = unicodedata.name(character, "").partition(" ")[0]
    if not character.isalpha() and unicodedata.category(character)[0] != "M":
        return "symbols"
    return _FIRST.get(first.partition("-")[0], first.capitalize()) or "symbols"


def scripts(characters: Iterable[str]) -> tuple[str, ...]:
    """Return the scripts of `characters` that need a font, in the order of their names."""
    return tuple(sorted({script(c) for c in characters if unicodedata.category(c) not in ("Cf", "Cc", "Zs")}))


def packages(named: Iterable[str]) -> tuple[str, ...]:
    """Return the Debian packages that bring fonts for these scripts."""
    core, cjk, emoji = _PACKAGES
    wanted = {cjk if name in _EAST_ASIAN else emoji if name == _EMOJI else core for name in named}
    return tuple(each for each in _PACKAGES if each in wanted)


def remedy(named: Iterable[str]) -> str:
    """Return the command that installs fonts for these scripts."""
    return f"On Debian or Ubuntu: apt-get install --no-install-recommends {' '.join(packages(named))}"


def note(named: Iterable[str]) -> str:
    """Return what is to be said of documents in which the scripts `named` stand as boxes: nothing if there are none.

    It names scripts, not characters: those may be somebody's name.
    """
    named = tuple(sorted(set(named)))
    if not named:
        return ""
    have = "has characters" if len(named) == 1 else "have characters"
    return (
        f"{_listed(named)} {have} that stand as boxes in the PDF: this machine has no font for them. {remedy(named)}."
    )


def _listed(named: tuple[str, ...]) -> str:
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return listed[:1].upper() + listed[1:]
