"""The words of a PDF where they stand, as poppler reads them, and what is wrong with their places."""

from __future__ import annotations

import html
import itertools
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Word:
    """A word where it stands, in points; the box of its line, which is higher than its letters."""

    page: int
    text: str
    left: float
    top: float
    right: float
    bottom: float

    def is_over(self, other: Word) -> bool:
        """Return whether the letters of both share a place."""
        if self.page != other.page:
            return False
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        lowest = min(self.bottom - self.top, other.bottom - other.top)
        narrowest = min(self.right - self.left, other.right - other.left)
        return across > min(0.8, narrowest / 4) and down > min(3.0, lowest / 2)


@dataclass(frozen=True)
class Pages:
    """A PDF, its pages' sizes, and every word on them."""

    path: Path
    sizes: list[tuple[float, float]]
    words: list[Word]

    def text(self, page: int) -> str:
        """Return the words of a page, in their order."""
        return " ".join(word.text for word in self.words if word.page == page)

    def faults(self) -> list[str]:
        """Return every word that leaves its page, and every two that stand over one another."""
        found = []
        for word in self.words:
            width, height = self.sizes[word.page]
            if word.left < 10 or word.top < 5 or word.right > width - 10 or word.bottom > height - 5:
                found.append(f"page {word.page + 1}: '{word.text}' leaves it")
        for _, words in itertools.groupby(self.words, lambda word: word.page):
            for one, other in itertools.combinations(words, 2):
                if one.is_over(other):
                    found.append(f"page {one.page + 1}: '{one.text}' and '{other.text}' stand over one another")
        return found


def read(target: Path) -> Pages:
    """Return the pages of a PDF."""
    told = subprocess.run(["pdftotext", "-bbox", str(target), "-"], capture_output=True, text=True, check=True)
    sizes: list[tuple[float, float]] = []
    words = []
    for line in told.stdout.splitlines():
        if page := re.search(r'<page width="([\d.]+)" height="([\d.]+)"', line):
            sizes.append((float(page[1]), float(page[2])))
        elif word := re.search(r'<word xMin="(.+?)" yMin="(.+?)" xMax="(.+?)" yMax="(.+?)">(.*)</word>', line):
            words.append(Word(len(sizes) - 1, html.unescape(word[5]), *map(float, word.group(1, 2, 3, 4))))
    return Pages(target, sizes, words)
