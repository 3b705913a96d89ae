"""The child's side of the WeasyPrint renderer: lays one document out, fetching nothing but assets."""

from __future__ import annotations

import difflib
import gc
import logging
import mimetypes
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from steward.errors import ConfigurationError, RenderFailed

_LIBRARIES: Final = "sudo apt-get install --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
_LONG: Final = 20  # pages
_WARM_UP: Final = "<h1>Warm</h1><table><tr><th>a<td>1</table><svg width='9' height='9'><text>é</text></svg>"


def prepare(assets: Mapping[str, str]) -> Callable[[Mapping[str, Any]], dict[str, int]]:
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
    log.setLevel(logging.ERROR)  # its warnings name CSS that no printer knows
    log.addHandler(losses)
    fetcher = _fetcher({name: Path(path) for name, path in assets.items()})

    def render(request: Mapping[str, Any]) -> dict[str, int]:
        from weasyprint.urls import FatalURLFetchingError

        losses.told.clear()
        fetcher.refusal = None
        try:
            document = weasyprint.HTML(string=request["html"], url_fetcher=fetcher).render()
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
        return {"pages": len(document.pages)}

    weasyprint.HTML(string=_WARM_UP).write_pdf(pdf_tags=True)
    # A layout makes millions of objects that live to its end: looking through them often is lost time (1.4x, measured).
    gc.set_threshold(100_000, 50, 1_000)
    return render


class _Losses(logging.Handler):
    """Keeps what WeasyPrint logs, and otherwise leaves out in silence: a picture, a drawing, a style sheet."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith(("Failed to", "Relative URI", "Unsupported stylesheet")):
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
