"""Plans how a table stands on its page: how wide each column is, and what is done where they are too wide for it.

Pure: whoever draws the table (the template, or another writer) asks `planned`, and draws what the plan says. A column
is never narrower than its widest figure or word, the total and the heading included; what remains is shared out by
the widths that the report wishes. A table too wide for the page gets smaller type, then a page turned sideways, and is
at last parted: its first column stands in every part. Lengths are points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from steward.documents.tables.cells import PLACES, shown
from steward.documents.tables.measuring import Face, lines, widest_word, width
from steward.model.content import Column, ColumnKind, Table

Size = Literal["normal", "small", "smallest"]
PageWidths = Literal["upright", "sideways", "half"]

TYPE: Final[dict[Size, tuple[float, float]]] = {"normal": (8.5, 7.75), "small": (7.5, 7.25), "smallest": (6.25, 6.25)}
"""The type of cells and of headings, as `layouts/report.css.j2` sets it."""
ROOM: Final[dict[PageWidths, float]] = {"upright": 504, "sideways": 711, "half": 234}
"""How wide a table can be on a page of US Letter, turned sideways, and beside another."""
GAP: Final = 6.8
"""Between two columns."""
SURE: Final = 1.03
"""By how much more is reckoned with, for kerning and rounding."""
LONGEST_WORD: Final = 13.0
"""Ems from which a word may be broken: an address or a number that somebody has typed."""
LONGEST_TEXT: Final = 40.0
"""Ems that a column of text wishes for at most."""
KEPT_ROWS, KEPT_HEIGHT = 10, 260.0
"""A table of so few rows and so low is not divided."""
END_HEIGHT: Final = 200.0
"""The most that is kept together at a table's end, before its total."""
TRIED: Final[tuple[tuple[PageWidths, Size], ...]] = (
    ("upright", "normal"),
    ("upright", "small"),
    ("sideways", "normal"),
    ("sideways", "small"),
    ("sideways", "smallest"),
)
_WIDEST: Final = 1.13
"""Ems of the widest letter: a text of few letters cannot be wider than another."""


@dataclass(slots=True)
class ColumnContent:
    """What a column holds, in ems of its cells and of its heading: the widest part that stays whole, and all in one."""

    word: float = 0.0
    whole: float = 0.0
    heading: float = 0.0

    def need(self, size: Size) -> float:
        """Return the least width, the gap to the next column included."""
        cells, headings = TYPE[size]
        return max(self.word * cells, min(self.heading, LONGEST_WORD) * headings) * SURE + GAP

    def wish(self, size: Size) -> float:
        """Return the width at which no cell needs a second line, within reason."""
        return max(self.need(size), min(self.whole, LONGEST_TEXT) * TYPE[size][0] * SURE + GAP)


@dataclass(frozen=True, slots=True)
class TablePart:
    """Columns that stand side by side, by their places in the table, and their widths."""

    columns: tuple[int, ...]
    widths: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The widths as per cent of the page's."""
        whole = sum(self.widths)
        return tuple(round(100 * each / whole, 3) for each in self.widths)


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A table ready to be drawn: its cells as text, its parts, and how they stand.

    `keep`: it is low enough not to be divided. From the row `end` on it stands with its total. Figures in the columns
    `loose` are too wide for any page, or words, and may be broken.
    """

    columns: tuple[Column, ...]
    rows: list[list[str]]
    total: list[str] | None
    parts: tuple[TablePart, ...]
    size: Size
    page: PageWidths
    keep: bool
    end: int
    loose: frozenset[int]

    @property
    def marks(self) -> tuple[str, ...]:
        """How each column's cells are set: `n` figures at the right, `d` dates, `t` text; `loose` if they may break."""
        kinds = ("n" if c.kind in PLACES else "d" if c.kind in ("date", "datetime") else "t" for c in self.columns)
        return tuple(f"{mark} loose" if n in self.loose else mark for n, mark in enumerate(kinds))


def planned(table: Table, *, page: PageWidths = "upright", size: Size = "normal") -> TableLayout:
    """Return how the table stands on a page, in type of `size` if it fits so."""
    columns = tuple(table.columns)
    kinds = [column.kind for column in columns]
    contents = [ColumnContent(heading=widest_word(column.title, 1, "bold")) for column in columns]
    rows = [_measured(row, kinds, contents) for row in table.rows]
    total = None
    if table.total is not None:
        _measured(table.total, kinds, contents, "bold")
        total = ["" if value is None else shown(value, kind) for value, kind in zip(table.total, kinds, strict=False)]
    chosen, fitting, parts = _parts(columns, contents, page, size)
    heights = _heights(rows[-KEPT_ROWS:], parts, TYPE[fitting][0], kinds)
    end = len(rows) - (2 if sum(heights[-2:]) <= END_HEIGHT else 1) if total else len(rows)
    loose = {
        n
        for part in parts
        for n, room in zip(part.columns, part.widths, strict=True)
        if kinds[n] in PLACES and contents[n].whole * TYPE[fitting][0] + GAP > room
    }
    keep = len(rows) <= KEPT_ROWS and sum(heights) <= KEPT_HEIGHT
    return TableLayout(columns, rows, total, parts, fitting, chosen, keep, max(end, 0), frozenset(loose))


def by_first_column(table: Table) -> list[Table]:
    """Return a table for each value of the first column, titled with it: its rows, without that column."""
    kind = table.columns[0].kind
    groups: dict[str, list[Sequence[Any]]] = {}
    for row in table.rows:
        groups.setdefault(shown(row[0], kind), []).append(row[1:])
    return [Table(table.name, table.columns[1:], rows, title) for title, rows in groups.items()]


def fitted(needs: Sequence[float], wishes: Sequence[float], room: float) -> list[float]:
    """Return widths that together take all the room, none below its need: as wished where the wishes leave that open.

    What one column needs beyond its wish the others give, in proportion to what they do not need. Where even the needs
    are more than the room, each gives in proportion.
    """
    scale = room / (sum(wishes) or 1)
    wishes = [wish * scale for wish in wishes]
    spare = [max(0.0, wish - need) for need, wish in zip(needs, wishes, strict=True)]
    left = room - sum(needs)
    if left <= 0 or not sum(spare):
        scale = room / (sum(needs) or 1)
        return [need * scale for need in needs]
    return [need + each * left / sum(spare) for need, each in zip(needs, spare, strict=True)]


def _measured(
    row: Sequence[Any], kinds: Sequence[ColumnKind], contents: list[ColumnContent], face: Face = "text"
) -> list[str]:
    """Return the row's cells as text, and let the columns' contents grow with them."""
    texts = []
    for value, kind, content in zip(row, kinds, contents, strict=False):
        text = shown(value, kind)
        texts.append(text)
        most = len(text) * _WIDEST
        if most > content.whole:
            content.whole = max(content.whole, *(width(line, 1, face) for line in text.split("\n")))
        if most > content.word:
            is_whole = kind not in ("text", "boolean") and not isinstance(value, str)
            word = width(text, 1, face) if is_whole else min(LONGEST_WORD, widest_word(text, 1, face))
            content.word = max(content.word, word)
    return texts


def _parts(
    columns: Sequence[Column], contents: Sequence[ColumnContent], page: PageWidths, size: Size
) -> tuple[PageWidths, Size, tuple[TablePart, ...]]:
    """Return the page, the size of type and the parts with which the table fits."""
    every = tuple(range(len(columns)))
    sizes = list(TYPE)
    ways = [(p, s) for p, s in TRIED if sizes.index(s) >= sizes.index(size) and (page != "sideways" or p == page)]
    if page == "half":
        ways = [("half", size), ("half", "small"), *ways]
    for chosen, smaller in ways:
        if sum(content.need(smaller) for content in contents) - GAP <= ROOM[chosen]:
            return chosen, smaller, (_part(columns, contents, every, ROOM[chosen], smaller),)
    room = ROOM["sideways"]
    first = min(contents[0].need("small"), room / 3)
    groups: list[list[int]] = [[]]
    used = first
    for n in every[1:]:
        need = min(contents[n].need("small"), room - first)
        if groups[-1] and used + need - GAP > room:
            groups.append([])
            used = first
        groups[-1].append(n)
        used += need
    parts = (_part(columns, contents, (0, *group), room, "small") for group in groups)
    return "sideways", "small", tuple(parts)


def _part(
    columns: Sequence[Column], contents: Sequence[ColumnContent], chosen: tuple[int, ...], room: float, size: Size
) -> TablePart:
    needs = [contents[n].need(size) for n in chosen]
    wishes = [contents[n].wish(size) for n in chosen]
    wished = [(columns[n].width, wish) for n, wish in zip(chosen, wishes, strict=True)]
    shares = sum(share for share, _ in wished if share)
    if shares:  # one without a share takes what it holds, and the others are in proportion to what they hold together
        unit = room if all(share for share, _ in wished) else sum(wish for share, wish in wished if share)
        wishes = [share * unit / shares if share else wish for share, wish in wished]
    if needs:
        needs[-1] -= min(GAP, needs[-1])  # behind the last there is no gap
    return TablePart(chosen, tuple(fitted(needs, wishes, room)))


def _heights(
    rows: Iterable[Sequence[str]], parts: Sequence[TablePart], size: float, kinds: Sequence[ColumnKind]
) -> list[float]:
    """Return about how high each row is, in the part where it is highest."""
    texts = [
        (n, each - GAP)
        for part in parts
        for n, each in zip(part.columns, part.widths, strict=True)
        if kinds[n] == "text"
    ]
    return [max([lines(row[n], size, room) for n, room in texts], default=1) * size * 1.4 + GAP for row in rows]
