"""Writes style rules into the elements, since many mail readers drop style sheets: once per shape, not per letter.

Which rule meets which element follows from the elements, never from the words between them. So letters that differ in
their words and links alone have one *shape*; it is inlined once, and the words are put into what came out. A shape is
used only after the result for a whole letter was the same to the byte, and only if it holds nothing in which words are
more than words; anything else is inlined whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import css_inline

_inliner: Final = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_at_rules=True)

MOST_SHAPES: Final = 128
"""How many shapes are kept; the shipped letters have one or two each."""

_WORDS: Final = re.compile(r"(>[ \t\n]*)([^<>\s][^<>]*)")
"""The words after a tag, and apart from them the blanks before."""
_MARK: Final = re.compile("\ue000([0-9]+)\ue001")
_SHEET: Final = ("<style", "</style>")
_HREF: Final = 'href="'

# Elements whose content a parser does not read as words and tags (HTML, section 13.2.5), and foreign ones.
_RAW: Final = re.compile(
    r"<(script|style|textarea|xmp|iframe|noembed|noframes|noscript|plaintext|svg|math|template|select|frameset|base)\b"
    r"|<!---?>|--!>",
    re.IGNORECASE,
)
_REVEALED: Final = re.compile(
    r"<!--.*?-->|(?P<revealed><!\[\s*(?:if\b[^\]<>]*|endif)\s*\]>)", re.DOTALL | re.IGNORECASE
)
_COMMENT: Final = re.compile("<!--.*?-->", re.DOTALL)
_PLAIN: Final = re.compile(
    r"(?:[^<>]|<!doctype[^<>]*>"
    r"""|</?[a-z][a-z0-9:-]*(?:\s+[^\s"'<>/=]+(?:\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'=<>`]+))?)*\s*/?>)*""",
    re.DOTALL | re.IGNORECASE,
)
_LINK: Final = re.compile('<a(?:\\s[^<>]*?)? href="\ue000[0-9]+\ue001"', re.IGNORECASE)
_UNKNOWN: Final = re.compile("&(?!(?:amp|lt|gt|quot|#34|#39);)")


@dataclass(frozen=True, slots=True)
class _Shape:
    """An inlined letter without its words and links: `pieces` with gaps, and for each gap whose place it is."""

    pieces: tuple[str, ...]
    words: tuple[tuple[int, int], ...]
    links: tuple[tuple[int, int], ...]

    def filled(self, words: list[str], links: list[str]) -> str | None:
        """Return the letter, or None if something in it cannot be put in place without parsing it."""
        pieces = list(self.pieces)
        for gap, n in self.words:
            text = words[n]
            if "&" in text:
                if _UNKNOWN.search(text):
                    return None
                text = text.replace("&#39;", "'").replace("&#34;", '"').replace("&quot;", '"')
            pieces[gap] = text
        for gap, n in self.links:
            text = links[n]
            if "&" in text:
                if _UNKNOWN.search(text):
                    return None
                text = text.replace("&#39;", "'").replace("&#34;", "&quot;").replace("&lt;", "<").replace("&gt;", ">")
            pieces[gap] = text
        return "".join(pieces)


@dataclass(slots=True)
class _Cut:
    """A letter cut into what makes its shape, its words and its links, in the order in which they stand."""

    key: tuple[str | int, ...]
    parts: list[list[str]]
    sheet: str
    words: list[str]
    links: list[str]


_shapes: Final[dict[tuple[str | int, ...], _Shape | None]] = {}
_seen: Final[set[int]] = set()


def inlined(html: str) -> str:
    """Return `html` with its style rules written into the elements.

    What shows a part to all but Outlook (`<![if !mso]>` to `<![endif]>`) stays as it is: a parser takes it for a
    mistake.
    """
    if "<![" not in html:
        return _inlined(html)
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        if found["revealed"] is None:
            return found[0]
        kept.append(found[0])
        return f"<!--steward-keeps-{len(kept) - 1}-->"

    done = _inlined(_REVEALED.sub(keep, html))
    for n, text in enumerate(kept):
        done = done.replace(f"<!--steward-keeps-{n}-->", text, 1)
    return done


def _inlined(html: str) -> str:
    cut = _cut(html)
    if cut is None:
        return _inliner.inline(html)
    shape = _shapes.get(cut.key)
    if shape is not None:
        found = shape.filled(cut.words, cut.links)
        return _inliner.inline(html) if found is None else found
    whole = _inliner.inline(html)
    if cut.key not in _shapes:
        mark = hash(cut.key)
        if mark in _seen:  # a shape that comes only once is not worth the work
            if len(_shapes) >= MOST_SHAPES:
                _shapes.clear()
            _shapes[cut.key] = _learned(cut, whole)
        else:
            if len(_seen) >= MOST_SHAPES * 8:
                _seen.clear()
            _seen.add(mark)
    return whole


def _cut(html: str) -> _Cut | None:
    begin = html.find(_SHEET[0])
    end = html.find(_SHEET[1], begin)
    # The inliner writes a no-break space by its name, and blanks of old systems as line feeds.
    if begin < 0 or end < 0 or "\r" in html or "\0" in html or "\xa0" in html or "\ue000" in html or "\ue001" in html:
        return None
    sheet = html[begin:end]
    key: list[str | int] = [sheet]
    words: list[str] = []
    links: list[str] = []
    parts = [_WORDS.split(html[:begin])]
    first, *rest = html[end:].split(_HREF)
    parts.append(_WORDS.split(first))
    for piece in rest:
        link, quote, after = piece.partition('"')
        if not quote or "<" in link or ">" in link:
            return None
        links.append(link)
        parts.append(_WORDS.split(after))
    for part in parts:
        key.append(len(part))
        key += part[0::3]
        key += part[1::3]
        words += part[2::3]
    return _Cut(tuple(key), parts, sheet, words, links)


def _learned(cut: _Cut, whole: str) -> _Shape | None:
    """Return the shape of a letter, or None if its words may be more than words."""
    count, texts = 0, []
    for part in cut.parts:
        marked = list(part)
        for place in range(2, len(part), 3):
            marked[place] = f"\ue000{count}\ue001"
            count += 1
        texts.append("".join(marked))
    around = texts[0] + texts[1]
    for n, text in enumerate(texts[2:]):
        around += f'{_HREF}\ue000{count + n}\ue001"{text}'
    bare = _COMMENT.sub("", around)
    if (
        "[" in cut.sheet  # a rule may look into a link
        or _RAW.search(around)
        or len(_MARK.findall(bare)) != count + len(cut.links)  # words in a comment
        or len(_LINK.findall(bare)) != len(cut.links)
        or not _PLAIN.fullmatch(bare)
    ):
        return None
    pieces = _MARK.split(_inliner.inline(texts[0] + cut.sheet + around[len(texts[0]) :]))
    gaps = [(2 * place + 1, int(n)) for place, n in enumerate(pieces[1::2])]
    if sorted(n for _, n in gaps) != list(range(count + len(cut.links))):
        return None
    shape = _Shape(
        tuple(pieces),
        tuple((gap, n) for gap, n in gaps if n < count),
        tuple((gap, n - count) for gap, n in gaps if n >= count),
    )
    return shape if shape.filled(cut.words, cut.links) == whole else None
