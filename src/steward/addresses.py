"""One address, exactly: what is validated here is what stands at RCPT, byte for byte."""

from __future__ import annotations

import re
from typing import Final

from email_validator import EmailNotValidError, validate_email

from steward.errors import Rejected

LONGEST = 254
"""RFC 5321, section 4.5.3.1.3, with erratum 1690."""

_PLAIN: Final = re.compile(
    r"[A-Za-z0-9_+-]{1,30}(?:\.[A-Za-z0-9_+-]{1,30})?@(?:[a-z0-9]{1,30}\.){1,4}[a-z]{2,20}", re.ASCII
)
"""What the validator takes as it is: most addresses, in a fiftieth of its time. The tests hold the two together."""


def address(text: str) -> str:
    """Return `text` as the one address to use at RCPT: an ASCII addr-spec, an international domain as A-labels.

    A list, a display name, an empty text or a control character is refused, and so is a local part that is not ASCII:
    it needs SMTPUTF8 (RFC 6531) on every server of the way, which nobody can promise.

    Raises:
        Rejected: `text` is not exactly one address; the words say why.
    """
    if _PLAIN.fullmatch(text):
        return text
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=False,
        )
    except EmailNotValidError as error:
        raise Rejected(f"'{_shown(text)}' is not an address that mail can be sent to", str(error)) from error
    ascii_form = found.ascii_email
    if ascii_form is None or len(ascii_form) > LONGEST or not ascii_form.isascii():
        raise Rejected(f"'{_shown(text)}' is not an address that mail can be sent to", "It needs SMTPUTF8")
    return ascii_form


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


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in str(text)[:80])
