"""Send mail through an HTTP interface like that of Amazon's mail service (SES, version 2), with nothing but httpx.

STEWARD_MAIL_URL=ses://KEY:SECRET@email.eu-central-1.amazonaws.com, key and secret percent-encoded. A server on this
machine that speaks without TLS: ses://KEY:SECRET@127.0.0.1:8005?region=local.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import reduce
from hashlib import sha256
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from steward import (
    BeforeDot,
    ConfigurationError,
    Outcome,
    Parcel,
    Phase,
    QueuedTransport,
    Reply,
    Transport,
    TransportOptions,
    hookimpl,
)

SEND, ACCOUNT = "/v2/email/outbound-emails", "/v2/email/account"
OURS = {"AccountSuspendedException", "MailFromDomainNotVerifiedException", "SendingPausedException"}
"""Refusals that every other letter would meet too: mail stands still, and no task fails."""


class SesTransport(QueuedTransport):
    """Posts each message as raw MIME, which arrives byte for byte."""

    name = "ses"

    def __init__(self, options: TransportOptions) -> None:
        parts = urlsplit(options.url)
        host = parts.hostname or ""
        region = parse_qs(parts.query).get("region", [*host.split("."), "", ""][1:2])[0]
        if not (host and parts.username and parts.password and region):
            why, example = (
                "It needs a key, a secret, a host and a region",
                "ses://KEY:SECRET@email.REGION.amazonaws.com",
            )
            raise ConfigurationError("STEWARD_MAIL_URL cannot be used", why, f"For example {example}")
        self._key, self._secret, self._region = unquote(parts.username), unquote(parts.password), region
        self._host, scheme = parts.netloc.rpartition("@")[2], "http" if host == "127.0.0.1" else "https"
        self._client = httpx.AsyncClient(base_url=f"{scheme}://{self._host}", timeout=httpx.Timeout(60, connect=10))
        super().__init__(options.connections)

    async def carry(self, parcel: Parcel, before_dot: BeforeDot) -> Reply:
        """Ask the server to send one message; once the request is out, it may have been taken."""
        content = {"Raw": {"Data": base64.b64encode(parcel.wire).decode()}}
        whose = {"FromEmailAddress": parcel.sender, "Destination": {"ToAddresses": [parcel.recipient]}}
        await before_dot()
        return await self._ask("POST", SEND, json.dumps(whose | {"Content": content}).encode())

    async def probe(self) -> Reply:
        """Ask for the account: whether the server is there, and knows us."""
        return await self._ask("GET", ACCOUNT, b"")

    async def leave(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: bytes) -> Reply:
        try:
            answer = await self._client.request(method, path, content=body, headers=self._signed(method, path, body))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Reply(Outcome.DEFERRED, Phase.CONNECT, None, f"{self._host} cannot be reached: {error}")
        except httpx.TransportError as error:  # it may have been taken: nobody knows
            return Reply(Outcome.UNCERTAIN, Phase.DOT, None, f"{self._host} gave no answer: {type(error).__name__}")
        return _reply(answer)

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """Return the headers that prove who asks (Signature Version 4)."""
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        steps = [stamp[:8], self._region, "ses", "aws4_request"]
        names, told = "host;x-amz-date", f"host:{self._host}\nx-amz-date:{stamp}\n"
        asked = "\n".join([method, path, "", told, names, sha256(body).hexdigest()])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(steps), sha256(asked.encode()).hexdigest()])
        signature = reduce(_mac, [*steps, text], f"AWS4{self._secret}".encode()).hex()
        whose = f"Credential={self._key}/{'/'.join(steps)}, SignedHeaders={names}, Signature={signature}"
        return {"X-Amz-Date": stamp, "Authorization": f"AWS4-HMAC-SHA256 {whose}", "Content-Type": "application/json"}


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _reply(answer: httpx.Response) -> Reply:
    """Return what an answer means: who is at fault, and whether it may pass."""
    code = answer.status_code
    try:
        said = json.loads(answer.content)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    kind = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    text = str(said.get("MessageId") or said.get("message") or kind or answer.reason_phrase).strip()[:500]
    if code == 200:
        return Reply(Outcome.ACCEPTED, Phase.DONE, code, text)
    if code in (401, 403) or kind in OURS:
        return Reply(Outcome.DEFERRED, Phase.AUTH, code, text, ours=True)
    if 400 <= code < 500 and code not in (404, 408, 429):
        return Reply(Outcome.REFUSED, Phase.DATA, code, text)
    return Reply(Outcome.DEFERRED if code < 500 or code == 503 else Outcome.UNCERTAIN, Phase.DOT, code, text)


@hookimpl
def register_transports() -> Mapping[str, type[Transport]]:
    """Offer the transport for addresses that begin with ses://."""
    return {"ses": SesTransport}
