"""A letter that was captured, as its page shows it: with the pictures that travel within it."""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel
from tests.journeys import web_site as site
from tests.journeys.performing import Performing

from steward import Attachment, Email, EmailAddress, handler

LOGO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SIGN = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4" cx="4" cy="4"/></svg>'
BODY = """<html><head><title>x</title></head><body>
<img src="asset:logo.png" alt="Local 214"><p>Dear {{ name }}, cid:nothing is no picture.</p>
<img src='asset:signs/sign.svg' alt=""><div style="background: url(asset:logo.png)">again</div></body></html>"""


class Joined(BaseModel):
    name: str
    email: EmailAddress


@handler(example=Joined(name="Ada", email="ada@example.org"))
def pictured(joined: Joined) -> Email:
    """Greet with pictures."""
    files = [Attachment("card.png", LOGO, "image/png")]
    return Email(to=joined.email, template="pictured", context=joined, attachments=files)


def templates(folder: Path) -> Path:
    """Make the templates of the letter and its pictures, and return their folder."""
    words = {"subject.txt.j2": "Welcome", "body.txt.j2": "Dear {{ name }}", "body.html.j2": BODY}
    files: dict[str, Any] = {f"pictured/{name}": text.encode() for name, text in words.items()}
    for name, content in (files | {"assets/logo.png": LOGO, "assets/signs/sign.svg": SIGN}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def shown_as(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def test_a_captured_letter_is_shown_with_its_pictures_and_lists_them_as_no_attachments(tmp_path: Path) -> None:
    settings = {"register": lambda: [pictured], "templates_dir": templates(tmp_path / "templates")}
    with Performing(tmp_path, **settings) as perform:
        assert perform.send("pictured", {"name": "Ada", "email": "ada@example.org"}).state == "succeeded"
        key = site.key(perform.steward, "operator", "operate")
        with (
            site.serving(perform.steward) as url,
            httpx.Client(base_url=url, timeout=30, follow_redirects=True) as web,
        ):
            form = re.search(r'name="form_token" value="([^"]+)"', web.get("/sign-in").text)
            assert form is not None
            web.post("/sign-in", data={"form_token": form[1], "key": key})
            (path,) = set(re.findall(r'href="(/outbox/[^"]+)"', web.get("/outbox").text))
            page = web.get(path).text
            (frame,) = re.findall(r'<iframe[^>]* src="([^"]+)"', page)
            assert re.findall(r'class="file"[^>]*>([^<]+)<', page) == ["card.png"]
            assert web.get(f"{path}/attachments/1").content == LOGO
            letter = web.get(html.unescape(frame))
            assert "img-src data:" in letter.headers["Content-Security-Policy"]
            images = re.findall(r"<img[^>]*>", letter.text)
            assert [re.search(r"""src=["']([^"']+)""", each)[1] for each in images] == [  # type: ignore[index]  # none: it fails
                shown_as(LOGO, "image/png"),
                shown_as(SIGN, "image/svg+xml"),
            ]
            assert f"url({shown_as(LOGO, 'image/png')})" in re.sub(r"""url\(["'](.*?)["']\)""", r"url(\1)", letter.text)
            assert "cid:" not in letter.text.replace("cid:nothing", "")
