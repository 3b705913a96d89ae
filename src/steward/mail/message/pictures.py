"""Pictures of a letter: what it names as `asset:` travels within it, and is shown by its Content-ID (RFC 2392)."""

from __future__ import annotations

import difflib
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from steward.errors import TemplateError
from steward.mail.message.message import MessageAttachment

_TAG: Final = re.compile(r"""<[a-z](?:[^<>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_ASSET: Final = re.compile(
    r"""(?P<before>(?:\b(?:src|background)\s*=\s*["']?|url\(\s*["']?)\s*)asset:(?P<name>[^"'()<>\s]+)""", re.IGNORECASE
)
_IMAGE: Final = re.compile(r"<img\b", re.IGNORECASE)
_ALT: Final = re.compile(r"""\salt\s*=""", re.IGNORECASE)


def shown_within(html: str, assets: Mapping[str, Path], cid: str) -> tuple[str, tuple[MessageAttachment, ...]]:
    """Return `html` with its `asset:` pictures shown by Content-ID, and the pictures; `cid` is a pattern with one {}.

    Raises:
        TemplateError: there is no such asset, it is no picture, or an image has no `alt`.
    """
    found: dict[str, MessageAttachment] = {}

    def within(tag: re.Match[str]) -> str:
        if _IMAGE.match(tag[0]) and _ASSET.search(tag[0]) and not _ALT.search(tag[0]):
            raise TemplateError(
                "A picture of the letter has no words",
                f"{tag[0][:120]} has no alt",
                'Say what it shows, for readers who see no pictures: alt="Local 214"; or alt="" if it only adorns',
            )
        return _ASSET.sub(shown, tag[0])

    def shown(asset: re.Match[str]) -> str:
        name = unquote(unescape(asset["name"])).lstrip("/")
        if name not in found:
            found[name] = _picture(name, assets, cid)
        return f"{asset['before']}cid:{found[name].cid}"

    return _TAG.sub(within, html), tuple(found.values())


def _picture(name: str, assets: Mapping[str, Path], cid: str) -> MessageAttachment:
    if name not in assets:
        near = difflib.get_close_matches(name, assets, 1)
        raise TemplateError(
            f"There is no asset '{name[:120]}'",
            "It is in none of the templates' assets folders",
            f"Did you mean '{near[0]}'?" if near else "Add the file, or correct the name",
        )
    media_type = mimetypes.guess_type(name)[0] or ""
    if not media_type.startswith("image/"):
        raise TemplateError(f"The asset '{name[:120]}' is no picture", "A letter shows pictures alone", "Attach it")
    mark = hashlib.sha256(name.encode()).hexdigest()[:12]
    return MessageAttachment(name.rpartition("/")[2], media_type, assets[name], cid.format(mark))
