"""One address, exactly: what is validated here is what stands at RCPT, byte for byte."""

from __future__ import annotations

import re
from typing import Annotated, Final

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from steward.errors import Rejected

LONGEST = 254
"""RFC 5321, section 4.5.3.1.3, with erratum 1690."""
LONGEST_LOCAL: Final = 64
"""Octets before the @-sign (RFC 5321, section 4.5.3.1.1)."""

_PLAIN: Final = re.compile(
    r"[A-Za-z0-9_+-]{1,30}(?:\.[A-Za-z0-9_+-]{1,30})?@(?:[a-z0-9]{1,30}\.){1,4}[a-z]{2,20}", re.ASCII
)
"""What the validator takes as it is: most addresses, in a fiftieth of its time. The tests hold the two together."""
_MAILBOX: Final = re.compile(
    r"""(?:"(?P<quoted>(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*)"\s*|"""
    r"""(?P<name>[^"<>@,;:()\[\]\\\x00-\x1f\x7f]*))<(?P<within>[^<>]+)>"""
    r"|(?P<alone>[^<>\s]+)"
)
_SPECIAL: Final = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)
"""The last labels under which the validator looks twice (RFC 6761)."""


def address(text: str, *, public: bool = False) -> str:
    """Return `text` as the one address to use at RCPT: an ASCII addr-spec, an international domain as A-labels.

    A list, a display name, an empty text, a blank at either end or a control character is refused, and so is what is
    longer than the standard allows, and a local part that is not ASCII: it needs SMTPUTF8 (RFC 6531) on every server
    of the way, which nobody can promise. With `public`, so are names that
    mail cannot reach from anywhere: `localhost`, one label alone, those reserved by RFC 6761.

    Raises:
        Rejected: `text` is not exactly one address; the words say why.
    """
    if _PLAIN.fullmatch(text) and not (public and text.rpartition(".")[2] in _SPECIAL):
        return text
    if text != text.strip():
        raise Rejected(_refused(text), "There is a blank before or after it")
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=public,
        )
    except EmailNotValidError as error:
        raise Rejected(_refused(text), str(error)) from error
    ascii_form = found.ascii_email
    if ascii_form is None or not ascii_form.isascii():
        raise Rejected(_refused(text), "It needs SMTPUTF8")
    local = ascii_form.rpartition("@")[0]
    if len(local) > LONGEST_LOCAL:
        raise Rejected(_refused(text), f"{len(local)} characters stand before the @-sign, and at most 64 may")
    if len(ascii_form) > LONGEST:
        raise Rejected(_refused(text), f"It has {len(ascii_form)} characters, and at most {LONGEST} may be")
    return ascii_form


def mailbox(text: str) -> tuple[str, str]:
    """Return the name and the address of `Name <address>` or of an address alone (RFC 5322, section 3.4, strictly).

    A name that holds an address, a comma or whatever else could be read as more than a name must stand in quotes.

    Raises:
        Rejected: `text` is not exactly one mailbox; the words say why.
    """
    found = _MAILBOX.fullmatch(text.strip())
    if found is None:
        why = "It is neither an address nor a name and an address in angle brackets"
        raise Rejected(f"'{_shown(text)}' is not one sender", why, "Write it like: Local 214 <office@example.org>")
    if (name := found["quoted"]) is not None:
        name = re.sub(r"\\(.)", r"\1", name)
    return (name or found["name"] or "").strip(), address(found["within"] or found["alone"])


def normal(text: str) -> str:
    """Return `text` in the form by which recipients are told apart: in small letters, the domain as A-labels.

    Local parts may differ by their letters' size (RFC 5321, section 2.4), and nobody's do: who floods a mailbox writes
    it in as many ways as there are.
    """
    if not text.isascii():
        try:
            text = address(text)
        except Rejected:
            return text.lower()
    return text.lower()


def _field(text: str) -> str:
    try:
        return address(text, public=True)
    except Rejected as error:
        # The words of pydantic's own EmailStr, so that one mistake reads the same whichever a plugin has used.
        raise PydanticCustomError(
            "value_error", "value is not a valid email address: {reason}", {"reason": error.why}
        ) from error


EmailAddress = Annotated[str, AfterValidator(_field), WithJsonSchema({"type": "string", "format": "email"})]
"""A field of a payload: exactly one public address, in the very form that stands at RCPT.

Stricter than `pydantic.EmailStr`, which takes what no letter can be sent to, and drops display names and blanks in
silence. Forms for people take blanks away before they come here.
"""


def _refused(text: str) -> str:
    return f"'{_shown(text)}' is not an address that mail can be sent to"


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in str(text)[:80])
