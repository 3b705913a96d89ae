"""Opens a line to the mail server: connects, secures, greets and signs in with aiosmtplib, then hands the line over."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from steward.mail.transport import Phase, Reply
from steward.mail.transports.smtp.connection import SmtpConnection, words
from steward.mail.transports.smtp.hello import LOOPBACK, SmtpHeloName
from steward.mail.transports.smtp.reach import SmtpServerAddress, connected, first_of, places
from steward.mail.transports.smtp.url import SmtpUrl
from steward.model.results import Outcome

CONNECT_SECONDS = 30.0
GREETING_SECONDS = 300.0
"""RFC 5321, section 4.5.3.2.1: a busy server, or one that looks into us first, may take five minutes to greet."""
_NO_EHLO = frozenset({500, 502, 504})
_UNKNOWN_WAY = frozenset({500, 501, 502, 503, 504})
"""Replies to AUTH that say nothing of the password (RFC 4954, section 6)."""
_CONNECT_FAILED = re.compile(r"\[Errno (\d+)\] Connect call failed")
_CONNECTING = re.compile(r"^Error connecting to .*? on port \w+: ")
_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


class ConnectFailed(Exception):
    """The line could not be opened; `reply` says in which phase, and whether the fault is ours."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.text)


@dataclass(frozen=True, slots=True)
class SmtpSession:
    """A line ready for mail, and what its server can do."""

    line: SmtpConnection
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


async def connect(
    address: SmtpUrl,
    ca_file: Path | None,
    seconds: float = CONNECT_SECONDS,
    greeting: float = GREETING_SECONDS,
    hello: SmtpHeloName | None = None,
) -> SmtpSession:
    """Return an open line, encrypted as `address` demands, signed in if it names a user.

    Each address of the name has `seconds` to take the connection, and `greeting` seconds for each reply until we are
    signed in; the first that greets us is taken.

    Raises:
        ConnectFailed: with the phase, the server's words, and whether every other letter would meet the same.
    """
    phase = Phase.CONNECT
    client: aiosmtplib.SMTP | None = None
    try:
        context = _context(ca_file) if address.security != "none" else None
        client = await first_of(
            await places(address.host, address.port, seconds),
            lambda place, answered: _greeted(place, answered, address, context, seconds, greeting),
        )
        us = await (hello or SmtpHeloName()).name(client.get_transport_info("sockname"))
        if address.security == "starttls":
            if client.protocol is not None:
                client.protocol.__class__ = _Strict
            await _say_hello(client, us)
            phase = Phase.TLS
            await client.starttls(server_hostname=address.host)
        phase = Phase.CONNECT
        await _say_hello(client, us)
        if address.user:
            phase = Phase.AUTH
            await _sign_in(client, address)
    except (aiosmtplib.SMTPException, OSError, ValueError, TimeoutError, ExceptionGroup) as error:
        if client is not None:
            client.close()
        raise ConnectFailed(_reply(error, phase, address)) from error
    except asyncio.CancelledError:
        if client is not None:
            client.close()
        raise
    line = SmtpConnection()
    extensions = client.esmtp_extensions
    transport = client.transport
    if transport is None:
        raise ConnectFailed(Reply(Outcome.DEFERRED, phase, None, f"{address} closed the connection"))
    client.protocol = None
    line.take_over(transport)
    size = extensions.get("size", "")
    return SmtpSession(line, "pipelining" in extensions, int(size) if size.isdigit() and int(size) > 0 else None)


async def _greeted(
    place: SmtpServerAddress,
    answered: asyncio.Event,
    address: SmtpUrl,
    context: ssl.SSLContext | None,
    seconds: float,
    greeting: float,
) -> aiosmtplib.SMTP:
    """Return a client that one address of the server has greeted."""
    ours = await connected(place, seconds)
    answered.set()
    client = aiosmtplib.SMTP(
        hostname=address.host,
        port=None,
        sock=ours,
        use_tls=address.security == "tls",
        start_tls=False,  # its default would go on in clear where STARTTLS has been stripped
        tls_context=context,
        local_hostname=LOOPBACK,  # never said, and never looked for
        timeout=greeting,
    )
    try:
        await client.connect()
    except BaseException:
        client.close()
        ours.close()
        raise
    return client


async def _say_hello(client: aiosmtplib.SMTP, us: str) -> None:
    """Say EHLO, or HELO to a server that does not know it (RFC 5321, section 3.2)."""
    try:
        await client.ehlo(hostname=us)
    except aiosmtplib.SMTPHeloError as error:
        if error.code not in _NO_EHLO or not client.is_connected:
            raise
        await client.helo(hostname=us)


async def _sign_in(client: aiosmtplib.SMTP, address: SmtpUrl) -> None:
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


def _reply(error: Exception, phase: Phase, address: SmtpUrl) -> Reply:
    """Return what a failure to connect says: in which phase, and whether every letter would meet it again."""
    found = list(error.exceptions) if isinstance(error, ExceptionGroup) else [error]  # one for each address of the name
    for each in found:
        cause: BaseException | None = each
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                text = words(f"{address} cannot be trusted: {cause.reason or cause}")
                return Reply(Outcome.DEFERRED, Phase.TLS, None, text, ours=True)
            cause = cause.__cause__ or cause.__context__
    codes = [code for each in found if (code := getattr(each, "code", None)) is not None and code >= 100]
    code = codes[0] if codes else None  # those below 100 are aiosmtplib's own, for what was no reply at all
    text = ", ".join(dict.fromkeys(_reason(_words_of(each)) for each in found))
    passing = isinstance(
        error,
        (OSError, TimeoutError, ExceptionGroup, aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError),
    )
    if phase is Phase.TLS and not passing:
        return Reply(Outcome.DEFERRED, phase, code, f"{address} does not offer a safe connection: {text}", ours=True)
    if phase is Phase.AUTH and not passing:
        passing = code is not None and 400 <= code < 500 and code != 454
        return Reply(Outcome.DEFERRED, phase, code, f"{address} refused our sign-in: {text}", ours=not passing)
    return Reply(Outcome.DEFERRED, phase, code, f"{address} cannot be reached: {text}")


def _words_of(error: Exception) -> str:
    said = words(str(getattr(error, "message", None) or error))
    if not said:
        return "it did not answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return said


def _reason(text: str) -> str:
    """Return why a server cannot be reached, without the address that aiosmtplib and asyncio name again."""
    reason = _CONNECTING.sub("", text)
    numbers = dict.fromkeys(_CONNECT_FAILED.findall(reason))
    return ", ".join(os.strerror(int(n)) for n in numbers) or _NUMBER.sub("", reason)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
