"""The promise of carrying one message to one recipient and telling truly what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from steward.model.results import Outcome


class Phase(StrEnum):
    """Where in an SMTP session (RFC 5321) something happened."""

    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One finished message for one recipient. `wire` is the message with CRLF line ends, not dot-stuffed.

    An `urgent` one goes before all that wait: hundreds may, where the server is slow.
    """

    sender: str
    recipient: str
    wire: bytes
    message_id: str = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a parcel.

    `ours` is true when the fault lies with our own account or connection (authentication, relaying, TLS) and
    every other parcel would meet it too: the lane stops instead of failing each task. `shared` is true if nobody was
    asked for this parcel: it has the fate of one that was tried at the same moment.
    """

    outcome: Outcome
    phase: Phase
    code: int | None = None
    text: str = ""
    ours: bool = False
    shared: bool = False

    @property
    def unreachable(self) -> bool:
        """Whether it came to nothing before the server was told of a recipient, in a way that may pass."""
        before = (Phase.CONNECT, Phase.TLS, Phase.AUTH, Phase.MAIL)
        return self.outcome is Outcome.DEFERRED and not self.ours and self.phase in before

    @property
    def words(self) -> str:
        """The code, if there is one, and what was said."""
        return f"{self.code} {self.text}" if self.code else self.text


BeforeDot = Callable[[], Awaitable[None]]


async def nothing_before_dot() -> None:
    """Do nothing before the final dot: for callers that keep no record."""


class Transport(Protocol):
    """Carries parcels. Implementations stand in `transports/`.

    One is made by each worker, from `TransportOptions`, in its main thread, and is used until `close`. A transport has
    an event loop in a thread of its own (named `name`), which owns its connections: there `before_dot` is awaited, and
    nothing may block it. The methods are called from other threads, several at a time.

    What went wrong is told by a `Reply`, never raised: `Outcome.REFUSED` for what no repeat can mend (the task fails),
    `DEFERRED` for what may pass and `UNCERTAIN` for what was perhaps taken (both are tried again), `ours` for what lies
    with our account or the line (mail as a whole stands still, nothing fails, and `check` is asked every half minute).
    The texts of replies are shown to people and kept: a transport leaves out what cannot be printed, and masks what
    is secret in its address where a server repeats it (`steward.masked`; `QueuedTransport` does both).
    """

    name: str

    def send(self, parcel: Parcel, before_dot: BeforeDot = nothing_before_dot) -> Future[Reply]:
        """Start carrying `parcel` and return at once; the future gives the reply and never raises for SMTP faults.

        Hundreds may be handed over at once and wait; one that is `urgent` goes before them. Of those that have begun,
        at most `TransportOptions.in_flight` get past `before_dot` at a time, by the caller's care. A caller that has
        lost interest cancels the future: a parcel that waits is then left out, and one that is being carried goes on.
        The future's callbacks run in the transport's thread.

        `before_dot` is awaited in the transport's loop, once, after the server has agreed to take the message and
        before its last byte is sent (for a request over HTTP: before the request): the caller records "uncertain"
        there, which takes a few milliseconds. If it raises, the message is not sent and the future raises the same.
        It is not awaited where the parcel is refused or deferred before. A parcel is never sent twice by one call:
        what may have arrived is `UNCERTAIN`, and the caller decides.
        """

    def check(self) -> Reply:
        """Connect, secure and authenticate without sending, and return what became of it (phase DONE if well).

        It may block for as long as connecting may take; it is called from a thread that waits for nothing else.
        """

    def silent(self, seconds: float) -> int:
        """Return how many connections have been waiting for a greeting for longer than that, each counted once.

        Called each second. Where no connection can wait so (HTTP has limits of its own): 0.
        """

    def reconnect(self) -> None:
        """Connect anew where a greeting is still waited for: the server is known to answer others now."""

    def close(self) -> None:
        """Finish what is on the wire, say goodbye, and free the connections and the thread, within five seconds.

        Called once at the end, or again, when nothing is handed over any more. What waits is not sent.
        """


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What a transport is made from: `url` is STEWARD_MAIL_URL, whose scheme has chosen it; the rest is as set.

    `folder` is where captured mail lies. `in_flight` is the most that is handed over before a reply has come.
    """

    url: str
    folder: Path = Path("outbox")
    connections: int = 8
    in_flight: int = 16
    ca_file: Path | None = None
    hello: str = ""


TransportFactory = Callable[[TransportOptions], Transport]
"""Makes a transport. It does not connect yet: what a URL cannot mean is refused here, with `ConfigurationError`."""
