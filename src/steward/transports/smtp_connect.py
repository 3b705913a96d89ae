"""Opens a line to the mail server: connects, secures, greets and signs in with aiosmtplib, then hands the line over."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from steward.results import Outcome
from steward.transport import Phase, Reply
from steward.transports.smtp_address import SmtpAddress
from steward.transports.smtp_line import SmtpLine

CONNECT_SECONDS = 30.0
LOOPBACK = "[127.0.0.1]"
_UNKNOWN_WAY = frozenset({500, 501, 502, 503, 504})
"""Replies to AUTH that say nothing of the password (RFC 4954, section 6)."""
_CONNECT_FAILED = re.compile(r"\[Errno (\d+)\] Connect call failed")
_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


class NotConnected(Exception):
    """The line could not be opened; `reply` says in which phase, and whether the fault is ours."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.text)


@dataclass(frozen=True, slots=True)
class Opened:
    """A line ready for mail, and what its server can do."""

    line: SmtpLine
    pipelining: bool
    size: int | None


class _Strict(SMTPProtocol):
    """Refuses what arrives in clear behind the reply to STARTTLS: somebody on the way has put it there."""

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # overrides aiosmtplib's
        response = await super().read_response(timeout)
        if self._buffer and not self._over_ssl:
            raise _Injected
        return response


class _Injected(aiosmtplib.SMTPException):
    def __init__(self) -> None:
        super().__init__("something was slipped into the connection before it was encrypted")


async def connect(address: SmtpAddress, ca_file: Path | None, seconds: float = CONNECT_SECONDS) -> Opened:
    """Return an open line, encrypted as `address` demands, signed in if it names a user.

    Raises:
        NotConnected: with the phase, the server's words, and whether every other letter would meet the same.
    """
    phase = Phase.CONNECT
    client = aiosmtplib.SMTP(
        hostname=address.host,
        port=address.port,
        use_tls=address.security == "tls",
        start_tls=False,  # its default would go on in clear where STARTTLS has been stripped
        tls_context=_context(ca_file) if address.security != "none" else None,
        local_hostname=LOOPBACK,  # never said, and never looked for
        timeout=seconds,
    )
    try:
        await client.connect()
        us = literal(client.get_transport_info("sockname"))
        if address.security == "starttls":
            phase = Phase.TLS
            if client.protocol is not None:
                client.protocol.__class__ = _Strict
            await client.ehlo(hostname=us)
            await client.starttls(server_hostname=address.host)
        phase = Phase.CONNECT
        await client.ehlo(hostname=us)
        if address.user:
            phase = Phase.AUTH
            await _sign_in(client, address)
    except (aiosmtplib.SMTPException, OSError, ValueError, TimeoutError) as error:
        client.close()
        raise NotConnected(_reply(error, phase, address)) from error
    except asyncio.CancelledError:
        client.close()
        raise
    line = SmtpLine()
    extensions = client.esmtp_extensions
    transport = client.transport
    if transport is None:
        raise NotConnected(Reply(Outcome.DEFERRED, phase, None, f"{address} closed the connection"))
    client.protocol = None
    line.take_over(transport)
    size = extensions.get("size", "")
    return Opened(line, "pipelining" in extensions, int(size) if size.isdigit() and int(size) > 0 else None)


async def _sign_in(client: aiosmtplib.SMTP, address: SmtpAddress) -> None:
    # A refusal is final. aiosmtplib's own `login` goes on with the other ways, and a server that counts failures would
    # lock us out three times as fast.
    ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
    offered = [way for way in ways if way in client.server_auth_methods]
    if not offered:
        raise aiosmtplib.SMTPException("it offers no way of signing in that is known here (PLAIN, LOGIN, CRAM-MD5)")
    for way in offered:
        try:
            await ways[way](address.user, address.password)
            return
        except aiosmtplib.SMTPAuthenticationError as error:
            if error.code not in _UNKNOWN_WAY or way == offered[-1]:
                raise


def _reply(error: Exception, phase: Phase, address: SmtpAddress) -> Reply:
    code = getattr(error, "code", None)
    if code is not None and code < 100:
        code = None  # aiosmtplib's own number for what was no reply at all
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return Reply(
                Outcome.DEFERRED, Phase.TLS, None, f"{address} cannot be trusted: {cause.reason or cause}", ours=True
            )
        cause = cause.__cause__ or cause.__context__
    passing = isinstance(error, (OSError, TimeoutError, aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError))
    if phase is Phase.TLS and not passing:
        return Reply(Outcome.DEFERRED, phase, code, f"{address} does not offer a safe connection: {text}", ours=True)
    if phase is Phase.AUTH and not passing:
        passing = code is not None and 400 <= code < 500 and code != 454
        return Reply(Outcome.DEFERRED, phase, code, f"{address} refused our sign-in: {text}", ours=not passing)
    return Reply(Outcome.DEFERRED, phase, code, f"{address} cannot be reached: {_reason(text, address)}")


def _reason(text: str, address: SmtpAddress) -> str:
    """Return why a server cannot be reached, without the address that aiosmtplib and asyncio name again."""
    reason = text.removeprefix(f"Error connecting to {address.host} on port {address.port}: ")
    # One for each address that the name stands for; most often all fail alike.
    numbers = dict.fromkeys(_CONNECT_FAILED.findall(reason))
    return ", ".join(os.strerror(int(n)) for n in numbers) or _NUMBER.sub("", reason)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def literal(socket_name: Any) -> str:
    """Return our own end of the line as EHLO says it: an address literal (RFC 5321, section 4.1.3).

    It is always right, and asks nobody: `getfqdn()` may wait for a name server, and may find a name that is not ours.
    """
    try:
        ours = ipaddress.ip_address(str(socket_name[0]).partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return LOOPBACK
    return f"[IPv6:{ours}]" if ours.version == 6 else f"[{ours}]"
