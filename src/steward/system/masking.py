"""Hides passwords in what others say: as they are, and in each way in which a server may repeat them."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
import string
import threading
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlsplit

STARS: Final = "***"
SHORTEST: Final = 4
"""Characters from which a password is looked for: a shorter one stands in every other word."""
_BEGINNING: Final = 8
"""Characters of an encoding that are enough to know it by, where it has been cut."""

_BASE64: Final = string.ascii_letters + string.digits + "+/_-"

_ALWAYS: Final = (
    ("://", re.compile(r"(://[^:/@\s]*):(?!password@)[^@/\s]+@"), r"\1:***@"),
    ("stw_", re.compile(r"\bstw_[A-Za-z0-9_-]{20,}"), "stw_***"),
    ("/sign-in/", re.compile(r"(/sign-in/)[A-Za-z0-9_-]{20,}"), r"\1***"),
    # What a mail server echoes of a sign-in (RFC 4954, section 4), whole or cut.
    (
        "auth",
        re.compile(r"(\bAUTH\s+(?:PLAIN|LOGIN|CRAM-MD5|XOAUTH2|OAUTHBEARER)\s+)(?!\*)\S+", re.IGNORECASE),
        r"\1***",
    ),
)
"""Passwords in addresses of servers, keys, and sign-in links. The word "password" itself stands in examples."""

_SECRET: Final = re.compile(r"key|token|secret|passw|pwd|credential|signature|sig$|auth", re.IGNORECASE)
"""A parameter of an address with such a name is secret."""

_lock = threading.Lock()
_hidden: set[str] = set()
_pattern: re.Pattern[str] | None = None


def hide(*secrets: str) -> None:
    """Hide `secrets` from now on, in whatever this process says: logs and servers belong to all of it."""
    global _pattern  # a process has one log
    fresh = {each for each in secrets if len(each) >= SHORTEST} - _hidden
    if fresh:
        with _lock:
            _hidden.update(fresh)
            plain = {form for secret in _hidden for form in _forms(secret)}
            encoded = {form for secret in _hidden for form in _encoded(secret)}
            # The longest first, so that no tail of one is left by another.
            first, then = (sorted(forms, key=len, reverse=True) for forms in (encoded, plain))
            _pattern = re.compile("|".join([f"(?P<encoded>{'|'.join(first)})", *then]))


def hide_passwords_of(*urls: str) -> None:
    """Hide the passwords in `urls`, as they stand there and as they are meant."""
    for url in urls:
        try:
            password = urlsplit(url).password or ""
        except ValueError:
            continue
        hide(password, unquote(password))


def hide_secrets_of(*urls: str) -> None:
    """Hide what is secret in the addresses of parts that plugins may make, whatever their schemes put where.

    That is the password, a user's name that stands without one (a key, mostly), and each parameter whose name says so.
    """
    hide_passwords_of(*urls)
    for url in urls:
        try:
            parts = urlsplit(url)
            alone = "" if parts.password or parts.scheme.startswith("smtp") else parts.username or ""
        except ValueError:
            continue
        given = re.findall(r"([^&=]*)=([^&]*)", parts.query)
        secrets = [alone, *(value for name, value in given if _SECRET.search(name))]
        hide(*secrets, *map(unquote, secrets), *map(unquote_plus, secrets))


def masked(text: str) -> str:
    """Return `text` without what is hidden, and without keys, sign-in links and passwords in addresses."""
    if _pattern is not None:
        text = _without(text, _pattern)
    lowered = text.lower()
    for needle, pattern, instead in _ALWAYS:
        if needle in lowered:
            text = pattern.sub(instead, text)
    return text


def _forms(secret: str) -> Iterator[str]:
    """Yield a pattern for each way in which `secret` may be written."""
    raw = secret.encode()
    plain = {
        secret,
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        quopri.encodestring(raw, quotetabs=True).decode().replace("=\n", ""),
        raw.decode("latin-1"),
    }
    for form in plain:
        # One that could be a word is looked for as a word.
        yield rf"(?<!\w){re.escape(form)}(?!\w)" if len(form) < 8 and form.isalnum() else re.escape(form)
    for form in (quote(secret, safe=""), raw.hex()):
        if form != secret:
            yield f"(?i:{re.escape(form)})"


def _encoded(secret: str) -> Iterator[str]:
    """Yield a pattern for how the base64 of what holds `secret` goes on from there, such as "\\0user\\0password"."""
    raw = secret.encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        whole = encoded[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6]
        if len(whole) >= SHORTEST:
            begins = whole[:_BEGINNING]
            for form in {begins, begins.replace("+", "-").replace("/", "_")}:
                yield rf"{re.escape(form)}[A-Za-z0-9+/_=-]*"


def _without(text: str, hidden: re.Pattern[str]) -> str:
    """Return `text` with stars for what is hidden; of base64 the whole word: what stands before tells a few bits."""
    parts, done = list[str](), 0
    for found in hidden.finditer(text):
        start = found.start()
        if found["encoded"] is not None:
            start = done + len(text[done:start].rstrip(_BASE64))
        parts += text[done:start], STARS
        done = found.end()
    return "".join([*parts, text[done:]])
