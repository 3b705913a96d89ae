"""The child's side of the WeasyPrint renderer: lays one document out, fetching nothing but assets."""

from __future__ import annotations

import difflib
import functools
import gc
import logging
import mimetypes
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from steward.errors import ConfigurationError, RenderFailed

_LIBRARIES: Final = "sudo apt-get install --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
_LONG: Final = 20  # pages
_TABLE: Final = "<table style='table-layout: fixed; border-collapse: separate'><thead><tr><th>a<td>1<tbody>"
_WARM_UP: Final = f"{_TABLE}{'<tr><th>a<td>1' * 99}</table><h1>Warm</h1><svg width='9' height='9'><text>é</text></svg>"
"""The long table comes first: the first instances of a class decide which attributes its later ones keep in a shared
table of keys (PEP 412), and with those of a table's cells a cell takes 16 KB instead of 31 (measured)."""
_SPEAKS_OF_NOTES: Final = re.compile(r"footnote|note-(call|marker)|:\s*note\b", re.IGNORECASE)
_NOTES: Final = "::footnote-call", "/* Counters and bookmarks */"
_MARKER: Final = "\n::marker {"


def prepare(assets: Mapping[str, str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return the function that lays a document out; WeasyPrint is loaded, and its fonts are found.

    Raises:
        ConfigurationError: a library is missing; the remedy installs it on Debian and Ubuntu.
    """
    try:
        import weasyprint
    except OSError as error:
        raise ConfigurationError(
            "PDFs cannot be made on this machine", f"WeasyPrint lacks a library: {error}", f"Install with: {_LIBRARIES}"
        ) from error
    losses = _Losses()
    log = logging.getLogger("weasyprint")
    log.setLevel(logging.WARNING)
    log.propagate = False  # most of its warnings name CSS that no printer knows
    log.addHandler(losses)
    fetcher = _fetcher({name: Path(path) for name, path in assets.items()})

    def render(request: Mapping[str, Any]) -> dict[str, Any]:
        from weasyprint.urls import FatalURLFetchingError

        losses.told.clear()
        losses.lacking.clear()
        fetcher.refusal = None
        try:
            document = _document(request["html"], fetcher).render()
            _describe(document.metadata, request)
            if len(document.pages) > _LONG:
                gc.collect()  # what the layout left: a fifth of the peak at 4,000 rows, for 4 % of the time (measured)
            document.write_pdf(request["target"], pdf_tags=True)
        except FatalURLFetchingError:  # a BaseException, which WeasyPrint lets pass nearly everywhere
            raise fetcher.refusal from None
        if fetcher.refusal is not None:  # inside a drawing it swallows even those
            raise fetcher.refusal
        if losses.told:
            raise RenderFailed(
                f"The document '{request['title']}' would lack something",
                "; ".join(dict.fromkeys(losses.told)),
                "Correct the template or the asset; write asset:<name> for a file in the assets folder",
            )
        return {"pages": len(document.pages), "lacking": "".join(sorted(losses.lacking))}

    weasyprint.HTML(string=_WARM_UP).write_pdf(pdf_tags=True)
    # A layout makes millions of objects that live to its end: looking through them often is lost time (1.4x, measured).
    gc.set_threshold(100_000, 50, 1_000)
    return render


def _document(html: str, fetcher: Any) -> Any:
    """Return the document, with a default style sheet of its own unless it speaks of notes.

    WeasyPrint's gives every element six styles for pseudo-elements that hardly any document has: 7 KB for each cell of
    a table, two fifths of a roster (measured).
    """
    import weasyprint

    document = weasyprint.HTML(string=html, url_fetcher=fetcher)
    sheet = None if _SPEAKS_OF_NOTES.search(html) else _default_style()
    if sheet is not None:
        document._ua_stylesheets = lambda forms=False: [sheet]
    return document


@functools.cache
def _default_style() -> Any:
    """Return WeasyPrint's default style sheet without footnotes, and with markers for list items alone."""
    from weasyprint import CSS
    from weasyprint import html as defaults

    text = getattr(defaults, "UA", "")
    begin, end = map(text.find, _NOTES)
    if not 0 < begin < end or _MARKER not in text:
        return None  # another version: then its own, whole
    text = (text[:begin] + text[end:]).replace(_MARKER, "\n:is(li, summary)::marker {")
    return CSS(string=text, counter_style=defaults.UA_COUNTER_STYLE)


class _Losses(logging.Handler):
    """Keeps what WeasyPrint logs, and otherwise leaves out in silence: a picture, a drawing, a style sheet, a glyph."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []
        self.lacking: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith(".notdef glyph") and isinstance(record.args, tuple):
            self.lacking.add(str(record.args[0]))
        elif record.levelno >= logging.ERROR and str(record.msg).startswith(
            ("Failed to", "Relative URI", "Unsupported stylesheet")
        ):
            self.told.append(record.getMessage()[:300])


def _describe(metadata: Any, request: Mapping[str, Any]) -> None:
    """Fix what the file says of itself; a clock's reading anywhere would make its bytes differ every time."""
    metadata.title = request["title"]
    metadata.authors = [request["author"]] if request["author"] else []
    metadata.lang = metadata.lang or request["lang"]
    metadata.created = metadata.modified = request["created"]
    moment = datetime.fromisoformat(request["created"])
    for attachment in metadata.attachments:
        attachment.created = attachment.modified = moment


def _fetcher(assets: Mapping[str, Path]) -> Any:
    from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

    class Fetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint has no types
        """Answers `asset:<name>` and `data:`; anything else ends the render in words.

        A refusal that WeasyPrint swallows would make a report that lacks its logo, and nobody would be told.
        """

        refusal: RenderFailed | None = None

        def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
            """Return the asset's content, or what the `data:` URL holds."""
            scheme, _, rest = url.partition(":")
            if scheme.lower() == "data":
                return super().fetch(url, headers)
            name = unquote(rest).lstrip("/")
            if scheme.lower() != "asset":
                self.refuse(
                    f"The document asks for {url[:200]}",
                    "A document may show the files in the templates' assets folder, and nothing else",
                    "Put the file there and write asset:<name>",
                )
            if name not in assets:
                near = difflib.get_close_matches(name, assets, 1)
                self.refuse(
                    f"There is no asset '{name[:200]}'",
                    "It is in none of the templates' assets folders",
                    f"Did you mean '{near[0]}'?" if near else "Add the file, or correct the name",
                )
            media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            return URLFetcherResponse(url, assets[name].read_bytes(), {"Content-Type": media_type})

        def refuse(self, what: str, why: str, remedy: str) -> NoReturn:
            self.refusal = RenderFailed(what, why, remedy)
            raise FatalURLFetchingError(what)

    return Fetcher(allowed_protocols={"data"}, allow_redirects=False)
