"""The pages of the outbox: every letter that was captured outside production, as it would have looked."""

from __future__ import annotations

import base64
import re

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from steward.errors import NotPermitted
from steward.mail.transports.captured import CapturedMessage, messages, read
from steward.web.access.sessions import Session
from steward.web.api.downloads import disposition
from steward.web.pages.base import Draw, PageSite, sees_outbox
from steward.web.problems import NoSuchPage

MOST = 200
# A letter is a stranger's HTML: it gets no script, no form, no origin and no network. Its links open beside it.
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)


def routes(site: PageSite) -> list[Route]:
    """Return the routes of the outbox. They answer 404 where mail is really sent."""
    outbox = CapturedMailPages(site)
    return [
        Route("/outbox", site.get(outbox.only_here(outbox.letters), "operate")),
        Route("/outbox/{name}", site.get(outbox.only_here(outbox.letter), "operate")),
        Route("/outbox/{name}/html", site.get(outbox.only_here(outbox.looks), "operate")),
        Route("/outbox/{name}/attachments/{n}", site.get(outbox.only_here(outbox.attachment), "operate")),
    ]


class CapturedMailPages:
    """Draws the captured letters."""

    def __init__(self, site: PageSite) -> None:
        self._site, self._steward = site, site.steward

    def only_here(self, draw: Draw) -> Draw:
        """Return `draw` for where letters are captured, and "not found" where they are sent."""

        def drawn(request: Request, session: Session) -> Response:
            if not sees_outbox(session.caller):
                raise NotPermitted(
                    "Your key is limited to some tasks", "The outbox holds the letters of all", "Ask an operator"
                )
            if not self._steward.settings.captures_mail:
                raise NoSuchPage("There is no outbox here", "Letters are sent, not captured")
            return draw(request, session)

        return drawn

    def letters(self, request: Request, session: Session) -> Response:
        """Return the list of letters, newest first."""
        folder = self._steward.outbox_folder
        found = messages(folder, MOST) if folder.is_dir() else []
        return self._site.page(request, "outbox", session, title="Outbox", here="outbox", letters=found, most=MOST)

    def letter(self, request: Request, session: Session) -> Response:
        """Return one letter with its parts."""
        letter = self._letter(request)
        return self._site.page(
            request, "letter", session, title=letter.subject or "No subject", here="outbox", letter=letter
        )

    def looks(self, request: Request, session: Session) -> Response:
        """Return the letter's HTML alone, for the frame on its page."""
        letter = self._letter(request)
        html = letter.html
        if html is None:
            raise NoSuchPage("This letter has no HTML part")
        for cid, media_type, content in letter.pictures:
            html = html.replace(f"cid:{cid}", f"data:{media_type};base64,{base64.b64encode(content).decode()}")
        framed = _HEAD.sub(lambda found: f'{found[0]}<base target="_blank">', html, count=1)
        return HTMLResponse(framed, 200, {"Content-Security-Policy": LETTER_POLICY, "X-Frame-Options": "SAMEORIGIN"})

    def attachment(self, request: Request, session: Session) -> Response:
        """Return one attachment."""
        files, n = self._letter(request).attachments, request.path_params["n"]
        if not re.fullmatch(r"[0-9]{1,4}", n) or not 1 <= int(n) <= len(files):
            raise NoSuchPage("This letter has no such attachment")
        file = files[int(n) - 1]
        headers = {"Content-Disposition": disposition(file.name)}
        return Response(file.content, 200, headers, "application/octet-stream")

    def _letter(self, request: Request) -> CapturedMessage:
        return read(self._steward.outbox_folder, request.path_params["name"])
