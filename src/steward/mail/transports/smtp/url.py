"""Reads `STEWARD_SMTP_URL`: where the mail server is, how the line is secured, and who we are there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from steward.errors import ConfigurationError

EXAMPLE = "smtp://user:password@mail.example.org:587 (STARTTLS), smtps://…:465 (TLS), smtp+plain://127.0.0.1:25"
_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


@dataclass(frozen=True, slots=True)
class SmtpUrl:
    """A mail server. `security` is `starttls` (required), `tls` (from the first byte), or `none` (loopback only)."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse(url: str) -> SmtpUrl:
    """Return the mail server that `url` names.

    Raises:
        ConfigurationError: it is not such a URL, or would send mail in clear over a network.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("STEWARD_SMTP_URL cannot be read", str(error), f"Examples: {EXAMPLE}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigurationError(
            "STEWARD_SMTP_URL is not the address of a mail server",
            f"It begins with '{parts.scheme}://'" if parts.scheme else "It names no scheme",
            f"Examples: {EXAMPLE}",
        )
    security: Literal["starttls", "tls", "none"] = "starttls"
    if parts.scheme == "smtps":
        security = "tls"
    elif parts.scheme == "smtp+plain":
        security = "none"
        if not _is_loopback(parts.hostname):
            raise ConfigurationError(
                f"Mail to {parts.hostname} would go over the network unencrypted",
                "smtp+plain:// is for a mail server on this machine",
                f"Use smtp:// (STARTTLS) or smtps:// (TLS): {EXAMPLE}",
            )
    return SmtpUrl(
        parts.hostname,
        port or _PORTS[parts.scheme],
        security,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
