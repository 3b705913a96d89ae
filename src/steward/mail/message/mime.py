"""The parts a message is made of: header texts, encoded bodies, file names. Pure functions on bytes."""

from __future__ import annotations

import binascii
import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import quote

from steward.errors import UnsafeMail

CRLF: Final = b"\r\n"
LONGEST_LINE: Final = 998
"""Octets without CRLF (RFC 5322, section 2.1.1)."""
FOLD_AT: Final = 76
_BLOCK: Final = 57 * 16_384
"""Octets, of which each 57 make one line of base64."""
PIECE: Final = 56
"""Characters of a long file name in one parameter (RFC 2231, section 3)."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS = re.compile(f"{_CONTROL.pattern}+")
_WORD = "[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(f'{_WORD}/{_WORD}(; ?{_WORD}=({_WORD}|"[ !#-\\[\\]-~]*"))*')
_ADDRESS = re.compile(r"[^\s<>,;:()\[\]\\\"@]+@[A-Za-z0-9.-]+")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]+")


def header_text(text: str, name: str) -> bytes:
    """Return unstructured `text` for the header `name`, folded, encoded by RFC 2047 where it is not plain ASCII.

    Raises:
        UnsafeMail: it holds a control character, or an encoded word that hides one. Python before 3.13 makes real
            headers of `=?utf-8?q?Hi=0D=0ABcc:...?=` (a measured finding).
    """
    refuse_controls(text, name)
    if text.isascii() and "=?" not in text:
        return _folded(text, len(name) + 2)
    return _encoded(text, len(name) + 2)


def neutral(text: str) -> str:
    """Return `text` with each run of control characters as one blank, and encoded words taken apart.

    For what comes from a person (a name in a subject, a file's name): it is to stay text, and not to fail a letter.
    """
    return _CONTROLS.sub(" ", text).replace("=?", "= ?").strip()


def plain(text: str, name: str) -> bytes:
    """Return `text` as it stands in a header that takes ASCII alone.

    Raises:
        UnsafeMail: it is not ASCII, or holds a control character.
    """
    refuse_controls(text, name)
    if not text.isascii():
        raise UnsafeMail(f"The {name} of the letter is not plain ASCII", ascii(text[:80]))
    return text.encode("ascii")


def address(text: str, name: str) -> bytes:
    """Return the bare address `text` as it stands in a header. Raises as `plain`, and if it is not one address."""
    if not _ADDRESS.fullmatch(text):
        raise UnsafeMail(f"The {name} of the letter is not one address", ascii(text[:80]))
    return plain(text, name)


def media_type(text: str) -> bytes:
    """Return the type of an attachment for Content-Type (RFC 2045, section 5.1).

    A message or a multipart may not be sent in base64 (RFC 2046, section 5.2.1): it goes as plain bytes, and arrives
    intact.

    Raises:
        UnsafeMail: it is no media type.
    """
    if not _MEDIA_TYPE.fullmatch(text):
        raise UnsafeMail("The type of an attachment is no media type", ascii(text[:80]), "Example: text/csv")
    if text.lower().startswith(("message/", "multipart/")):
        return b"application/octet-stream"
    return text.encode("ascii")


def refuse_controls(text: str, name: str) -> None:
    """Return if `text` is free of control characters, also after decoding encoded words.

    Raises:
        UnsafeMail: it is not.
    """
    decoded = text
    if "=?" in text:
        try:
            decoded = "".join(_decoded(part, charset) for part, charset in decode_header(text))
        except (HeaderParseError, ValueError, binascii.Error):
            decoded = text
    if _CONTROL.search(text) or _CONTROL.search(decoded):
        raise UnsafeMail(
            f"The {name} of the letter holds a control character",
            "It could begin another header",
            "Remove it from the data or the template",
        )


def _decoded(part: bytes | str, charset: str | None) -> str:
    if isinstance(part, str):
        return part
    try:
        return part.decode(charset or "ascii", "replace")
    except LookupError:  # readers guess at a character set that they do not know, and the controls are the same in all
        return part.decode("latin-1")


def mailbox(name: str, address: str) -> bytes:
    """Return `Name <address>` as a header value (RFC 5322, section 3.4); without a name the bare address."""
    if not name:
        return address.encode("ascii")
    refuse_controls(name, "sender's name")
    if name.isascii() and "=?" not in name:
        phrase = name if _PHRASE.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{phrase} <{address}>".encode("ascii")
    return _encoded(name, 6) + f" <{address}>".encode("ascii")


def _folded(text: str, used: int) -> bytes:
    if used + len(text) <= FOLD_AT:
        return text.encode("ascii")
    lines, line = [], ""
    room = FOLD_AT - used
    for word in re.split(r"(?<=\S)(?= )", text):
        if line.strip() and len(line) + len(word) > room:
            lines.append(line)
            line, room = word, FOLD_AT
        else:
            line += word
    lines.append(line)
    if any(len(part) > LONGEST_LINE - used or not part.strip() for part in lines):
        return _encoded(text, used)
    return "\r\n".join(lines).encode("ascii")


def _encoded(text: str, used: int) -> bytes:
    # An encoded word has at most 75 characters (RFC 2047, section 2) and never splits a character.
    words, piece, room = [], b"", 75 - 12 - used
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(piece) + len(octets) > room // 4 * 3:
            words.append(piece)
            piece, room = b"", 75 - 12
        piece += octets
    words.append(piece)
    return b"\r\n ".join(
        b"=?utf-8?b?" + binascii.b2a_base64(w, newline=False) + b"?=" for w in words if w or len(words) == 1
    )


_UNSAFE: Final = re.compile(rb"[^\t\n -~]+")
_NOT_TEXT: Final = bytes(set(range(32)) - set(b"\t\n")) + b"\x7f"
_PIECE_OF_LINE: Final = re.compile(rb".{1,75}(?<!=)(?<!=.)", re.DOTALL)  # never ends within an "=3D"


def text_body(text: str) -> tuple[bytes, bytes]:
    """Return the transfer encoding and the encoded octets of `text`, with CRLF line ends and a final one.

    ASCII goes as it is, as long as its lines are no longer than mail allows (RFC 2045, section 2.7): it takes less room
    and half the time. The rest is quoted-printable.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    if (
        text.isascii()
        and "\x00" not in text
        and "--=_" not in text  # it could be taken for a boundary
        and max(map(len, text.split("\n"))) <= LONGEST_LINE
    ):
        return b"7bit", text.replace("\n", "\r\n").encode("ascii")
    return b"quoted-printable", _quoted(text.encode("utf-8", "replace"))


def _quoted(content: bytes) -> bytes:
    """Return `content` in quoted-printable (RFC 2045, section 6.7), in half the time of `binascii.b2a_qp`."""
    content = content.replace(b"=", b"=3D")
    # A blank at the end of a line may be lost on the way.
    content = content.replace(b" \n", b"=20\n").replace(b"\t\n", b"=09\n")
    odd = len(content.translate(None, _NOT_TEXT)) < len(content)
    lines = []
    for line in content.split(b"\n"):
        if odd or not line.isascii():
            line = _UNSAFE.sub(_octets, line)
        lines.append(line if len(line) <= FOLD_AT else b"=\r\n".join(_PIECE_OF_LINE.findall(line)))
    return CRLF.join(lines)


def _octets(found: re.Match[bytes]) -> bytes:
    return b"=" + found[0].hex("=").upper().encode("ascii")


def file_body(content: bytes) -> bytes:
    """Return `content` in base64, 76 characters a line (RFC 2045, section 6.8)."""
    if len(content) > _BLOCK:  # block by block: the lines of a large file take twice its room
        return b"".join(file_body(content[i : i + _BLOCK]) for i in range(0, len(content), _BLOCK))
    if not content:
        return CRLF
    encoded = binascii.b2a_base64(content, newline=False)
    return CRLF.join(encoded[i : i + 76] for i in range(0, len(encoded), 76)) + CRLF


def file_name(name: str) -> bytes:
    """Return the `filename` parameter of Content-Disposition, by RFC 2231 where it is not plain ASCII.

    Raises:
        UnsafeMail: it holds a control character.
    """
    refuse_controls(name, "name of an attachment")
    if name.isascii() and len(name) <= FOLD_AT - 12 and not set(name) & set('"\\'):
        return f'filename="{name}"'.encode("ascii")
    octets = quote(name, safe="", errors="replace")
    pieces = [octets[i : i + PIECE] for i in range(0, len(octets), PIECE)]
    if len(pieces) == 1:
        return f"filename*=utf-8''{octets}".encode("ascii")
    # A percent-encoded octet may be split: RFC 2231 joins the pieces before it decodes them, but some readers do not.
    return b";\r\n ".join(
        f"filename*{n}*={chr(39).join(('utf-8', '', '')) if n == 0 else ''}{piece}".encode("ascii")
        for n, piece in enumerate(_unsplit(octets, PIECE))
    )


def _unsplit(octets: str, size: int) -> list[str]:
    pieces = []
    while octets:
        cut = size
        while cut > size - 3 and "%" in octets[max(cut - 2, 0) : cut] and len(octets) > cut:
            cut -= 1
        pieces.append(octets[:cut])
        octets = octets[cut:]
    return pieces
