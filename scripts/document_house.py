"""Draws the house into CONTRIBUTING.md and docs/pictures/house.svg; with --check only says whether they are current."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "steward"
PAGE = ROOT / "CONTRIBUTING.md"
PICTURE = ROOT / "docs" / "pictures" / "house.svg"
BEGIN, END = "<!-- made by `make docs` from src/steward -->\n", "<!-- up to here -->\n"

WIDTH, ROW, TOP, LEFT, BOX = 1100, 52, 92, 24, 640
INK, MUTED, LINE, PAPER, ROOM = "#1f2933", "#5b6770", "#9fb3c8", "#ffffff", "#f5f7fa"
FRONT = "front door"
SPOKEN = 'role="img" aria-labelledby="house-title house-words"'
READ = (
    "A chapter imports only chapters below it. An arc leads from a chapter to one that it imports, thicker where more"
    " modules do."
)


def floors() -> list[list[str]]:
    """Return the chapters from the top down, those of one floor together, as `.importlinter` proves them."""
    proved = configparser.ConfigParser()
    proved.read(ROOT / ".importlinter")
    layers = proved["importlinter:contract:floors"]["layers"].strip().splitlines()
    return [re.findall(r"\w+", layer) for layer in layers]


def entries(folder: Path) -> list[Path]:
    """Return what a reader sees in `folder`: modules, then folders, without what every package has."""
    found = [each for each in folder.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()]
    return sorted(
        (each for each in found if not each.name.startswith("__")), key=lambda each: (each.is_dir(), each.name)
    )


def duty(path: Path) -> str:
    """Return the first line of a module's docstring, or of a package's."""
    module = path / "__init__.py" if path.is_dir() else path
    return (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def place(chapter: str) -> Path:
    """Return a chapter's folder, or its module."""
    return SOURCE / chapter if (SOURCE / chapter).is_dir() else SOURCE / f"{chapter}.py"


def tree() -> str:
    """Return the house two levels deep, from the front door down, in reading order."""
    lines = ["```text", "src/steward/"]
    for floor in floors():
        for chapter in floor:
            path = place(chapter)
            lines.append(f"  {chapter}{'/' if path.is_dir() else '.py'}".ljust(18) + duty(path))
            if path.is_dir():
                names = [each.name + "/" if each.is_dir() else each.stem for each in entries(path)]
                lines += wrapped(names)
    return "\n".join([*lines, "```", ""])


def wrapped(names: list[str]) -> list[str]:
    """Return `names` in lines of at most 116 characters, set in."""
    lines: list[str] = []
    for name in names:
        if lines and len(lines[-1]) + len(name) + 2 <= 116:
            lines[-1] += f"  {name}"
        else:
            lines.append(f"      {name}")
    return lines


def imported() -> Counter[tuple[str, str]]:
    """Return how many modules of one chapter import from another."""
    found: Counter[tuple[str, str]] = Counter()
    for path in SOURCE.rglob("*.py"):
        inner = path.relative_to(SOURCE).parts
        here = inner[0].removesuffix(".py")
        others = {
            other
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("steward")
            for other in [(node.module or "").split(".")[1:2] or [alias.name for alias in node.names]]
            for other in other
        }
        found.update((here, other) for other in others if place(other).exists() and other != here)
    return found


def picture() -> str:
    """Return the house as SVG: a chapter a row, and at the right an arc for each chapter that another imports."""
    rows = [[FRONT], *([chapter] for floor in floors()[1:] for chapter in floor)]
    front = set(floors()[0])
    at = {chapter: number for number, (chapter,) in enumerate(rows)}
    links: Counter[tuple[int, int]] = Counter()
    for (above, below), count in imported().items():
        start, end = at.get(above, at[FRONT]), at.get(below)
        if end is not None and start != end:
            links[start, end] += count
    height = TOP + ROW * len(rows) + 24
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" {SPOKEN}>',
        '<title id="house-title">The chapters of src/steward, and which import which</title>',
        f'<desc id="house-words">{escape(" ".join(told(rows, links)))}</desc>',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="40" font-size="22" font-weight="600" fill="{INK}">src/steward</text>',
        f'<text x="{LEFT}" y="66" font-size="14" fill="{MUTED}">{READ}</text>',
    ]
    thickest_last = sorted(links.items(), key=lambda each: (each[1], each[0]))
    drawn += [arc(start, end, count) for (start, end), count in thickest_last]
    drawn += [part for number, (chapter,) in enumerate(rows) for part in room(number, chapter, front)]
    return "\n".join([*drawn, "</svg>", ""])


def told(rows: list[list[str]], links: Counter[tuple[int, int]]) -> list[str]:
    """Return the picture in words, for those who cannot see it."""
    found = []
    for number, (chapter,) in enumerate(rows):
        below = [rows[end][0] for start, end in sorted(links) if start == number]
        found.append(f"{chapter} imports {', '.join(below) or 'nothing'}.")
    return found


def room(number: int, chapter: str, front: set[str]) -> list[str]:
    """Return a chapter's box, with its name, its duty and how many modules it has."""
    top = TOP + number * ROW
    if chapter == FRONT:
        said, count = "Names that people type or import: " + ", ".join(sorted(front - {"__main__"})), len(front)
    else:
        said, path = duty(place(chapter)), place(chapter)
        count = len(list(path.rglob("*.py")))
    edge = LEFT + BOX - 14
    said = said if len(said) <= 96 else said[:95].rpartition(" ")[0] + " …"
    return [
        f'<rect x="{LEFT}" y="{top}" width="{BOX}" height="{ROW - 10}" rx="6" fill="{ROOM}" stroke="{LINE}"/>',
        f'<text x="{LEFT + 14}" y="{top + 18}" font-size="14" font-weight="600" fill="{INK}">{escape(chapter)}</text>',
        f'<text x="{edge}" y="{top + 18}" font-size="11" text-anchor="end" fill="{MUTED}">{count} modules</text>',
        f'<text x="{LEFT + 14}" y="{top + 34}" font-size="11.5" fill="{MUTED}">{escape(said)}</text>',
    ]


def arc(start: int, end: int, count: int) -> str:
    """Return the line from one chapter down to another; the farther apart they are, the wider it swings."""
    x, middle = LEFT + BOX, (ROW - 10) / 2
    above, below = TOP + start * ROW + middle + 6, TOP + end * ROW + middle - 6
    swing = x + 26 + 30 * (end - start)
    return (
        f'<path data-import="{start} {end}" d="M{x} {above:g}C{swing} {above:g} {swing} {below:g} {x} {below:g}"'
        f' fill="none" stroke="{LINE}" stroke-opacity="0.75" stroke-width="{min(5.0, 0.8 + count / 8):.2g}"/>'
        f'<circle cx="{x}" cy="{below:g}" r="2.6" fill="{MUTED}"/>'
    )


def page() -> str:
    """Return CONTRIBUTING.md with the tree as it is now."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tree() + END + after


def main() -> int:
    """Write both, or with --check compare them; return the exit code."""
    stale = [path for path, made in ((PAGE, page()), (PICTURE, picture())) if read(path) != made]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not what the code says. Type: make docs\n")
        return bool(stale)
    PAGE.write_text(page(), encoding="utf-8")
    PICTURE.write_text(picture(), encoding="utf-8")
    return 0


def read(path: Path) -> str:
    """Return what stands in a file, nothing if there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
