"""How much room text takes in the reports' own type, before anything is laid out: pure, and quick enough for each cell.

The advance widths of Public Sans (regular, semibold) and Newsreader (medium), with figures of one width as tables have
them, in thousandths of the size of type. What these files do not hold comes from another face, whose widths are taken
to be generous ones. Lengths are points.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

Face = Literal["text", "bold", "serif"]

_BEYOND: Final = "–—−…’‘“”·•×€£ßæøłđÆØŁĐœŒ"
_REGULAR: Final = """
    243 251 426 603 700 904 708 248 302 309 394 554 300 378 300 350 700 700 700 700 700 700 700 700 700 700 226
    240 546 554 546 521 831 710 670 688 694 620 594 733 766 283 388 682 578 886 754 734 636 748 676 670 594 700
    672 954 688 607 637 303 350 303 473 518 218 553 596 544 596 566 396 622 576 248 262 562 303 865 577 566 596
    596 391 506 389 580 504 780 564 535 480 328 263 332 568 555 1117 554 768 232 240 419 410 230 316 540 700 700
    590 914 586 352 617 974 750 581 707 948 1118
"""
_SEMIBOLD: Final = """
    234 268 455 610 700 923 750 255 320 324 437 573 300 386 300 368 700 700 700 700 700 700 700 700 700 700 250
    261 563 573 563 528 829 719 678 704 708 628 604 747 768 296 396 701 578 903 770 748 645 762 687 682 606 714
    690 962 704 640 654 322 368 322 479 536 243 560 603 546 603 572 396 626 585 258 276 572 317 882 586 571 602
    602 402 518 404 588 513 784 577 550 489 358 266 360 592 576 1134 573 837 248 252 452 447 246 336 560 700 700
    610 914 600 362 629 1010 764 586 730 940 1123
"""
_SERIF: Final = """
    224 276 372 588 588 808 729 204 290 290 434 512 246 358 238 403 588 588 588 588 588 588 588 588 588 588 260
    273 512 512 512 460 893 732 665 710 774 654 606 760 816 354 460 750 619 1000 776 782 628 782 671 570 684 775
    709 996 738 702 643 328 403 329 512 410 500 474 556 448 566 471 360 507 574 291 261 559 280 848 586 534 574
    555 411 397 360 553 538 762 519 538 444 322 250 322 512 515 680 512 670 243 242 431 432 253 416 512 588 588
    644 722 552 328 566 1015 797 637 774 830 1066
"""
_WIDE, _OTHER = 1020, 760


class _Advances(dict[str, int]):
    """The width of every character, worked out when first asked for."""

    def __init__(self, widths: str) -> None:
        super().__init__(zip([*map(chr, range(32, 127)), *_BEYOND], map(int, widths.split()), strict=True))

    def __missing__(self, character: str) -> int:
        self[character] = width = self._guess(character)
        return width

    def _guess(self, character: str) -> int:
        if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Cc", "Mn"):
            return 0
        if unicodedata.category(character).startswith("Z"):
            return self[" "]
        base = unicodedata.normalize("NFKD", character)[0]
        if base != character and base in self and unicodedata.normalize("NFD", character)[0] == base:
            return self[base] + 100  # the letter without its accent, which may be wider than itself: ï
        return _WIDE if unicodedata.east_asian_width(character) in "WF" or character > "\uffff" else _OTHER


_ADVANCES: Final[dict[Face, _Advances]] = {
    "text": _Advances(_REGULAR),
    "bold": _Advances(_SEMIBOLD),
    "serif": _Advances(_SERIF),
}
_BREAKS: Final = re.compile(r"\s+")
_BREAKABLE: Final = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
"""Characters of scripts that are written without spaces: a line may end at nearly any of them (UAX #14, class ID)."""


def width(text: str, size: float, face: Face = "text") -> float:
    """Return how wide the text is in one line, with type of so many points."""
    return sum(map(_ADVANCES[face].__getitem__, text)) * size / 1000


def widest_word(text: str, size: float, face: Face = "text") -> float:
    """Return how wide the widest part is that should not be broken."""
    if _BREAKABLE.search(text):
        text = _BREAKABLE.sub(lambda found: f" {found[0]} ", text)
    return max((width(word, size, face) for word in _BREAKS.split(text)), default=0.0)


def wrapped(text: str, size: float, room: float, face: Face = "text") -> list[str]:
    """Return the text in lines no wider than `room`, broken between words, or within one that alone is too wide."""
    lines: list[str] = []
    for part in text.splitlines() or [""]:
        line = ""
        for word in part.split():
            joined = f"{line} {word}" if line else word
            if width(joined, size, face) <= room:
                line = joined
                continue
            if line:
                lines.append(line)
            while width(word, size, face) > room and len(word) > 1:
                head = word
                while len(head) > 1 and width(head, size, face) > room:
                    head = head[: max(1, min(len(head) - 1, int(len(head) * room / width(head, size, face))))]
                lines.append(head)
                word = word[len(head) :]
            line = word
        lines.append(line)
    return lines


def lines(text: str, size: float, room: float, face: Face = "text") -> int:
    """Return about how many lines the text takes in a column as wide as `room`."""
    return sum(1 + int(width(part, size, face) * 1.08 / max(room, size)) for part in text.splitlines()) or 1


def levels(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return for each text, by where it starts and how wide it is, the line from 0 on which it runs into no other."""
    ends: list[float] = []
    found = []
    for start, wide in spans:
        level = next((n for n, end in enumerate(ends) if end <= start), len(ends))
        ends[level : level + 1] = [start + wide]
        found.append(level)
    return found


def shortened(text: str, size: float, room: float, most: int = 2) -> str:
    """Return the text for a running head: whole if it takes at most so many lines, else its beginning and an `…`."""
    found = wrapped(" ".join(text.split()), size, room)
    return " ".join(found) if len(found) <= most else f"{' '.join(found[:most])[:-1].rstrip()}…"
