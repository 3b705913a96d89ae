"""The promise of carrying one message to one recipient and telling truly what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
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
    """Carries parcels. Implementations stand in `transports/`."""

    name: str

    def send(self, parcel: Parcel, before_dot: BeforeDot = nothing_before_dot) -> Future[Reply]:
        """Start carrying `parcel` and return at once; the future gives the reply and never raises for SMTP faults.

        `before_dot` is awaited after the server has agreed to take the message and before its last byte is sent:
        the caller records "uncertain" there. If it raises, the message is not sent and the future raises the same.
        """

    def check(self) -> Reply:
        """Connect, secure and authenticate without sending, and return what became of it (phase DONE if well)."""

    def silent(self, seconds: float) -> int:
        """Return how many connections have been waiting for a greeting for longer than that, each counted once."""

    def reconnect(self) -> None:
        """Connect anew where a greeting is still waited for: the server is known to answer others now."""

    def close(self) -> None:
        """Finish what is on the wire, say goodbye, and free the connections."""
