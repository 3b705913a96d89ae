"""Bounds the connections of the web server: how many there are, and how long each may take over what it sends.

Uvicorn bounds neither: a guest that sends a byte now and then would keep its connection, and a file, for ever.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HEAD_SECONDS: Final = 10.0
"""For a request's line and headers, from the connection's beginning or the end of the answer before."""
BODY_SECONDS: Final = 30.0
BODY_RATE: Final = 4096
"""Bytes a second that a body must come with on the average, once `BODY_SECONDS` are over."""
STUCK_SECONDS: Final = 60.0
"""For a guest that takes nothing of its answer."""
LINGER_SECONDS: Final = 10.0
"""For what is left of an answer when the connection is closed already."""
SWEEP_SECONDS: Final = 1.0
"""Between two looks at who is over the time."""
MOST: Final = 4096
SPARE: Final = 256
"""Files that are not for connections: the ledger's, those that are downloaded, and what is accepted in one go."""
AT_ONCE: Final = 64
"""Connections that are accepted before those that are too many can give way."""
TOLD_EVERY: Final = 60.0

_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def most_connections() -> int:
    """Return how many connections this process may keep: fewer than it may have files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MOST
    return max(1, min(MOST, max(files - SPARE, files // 2)))


def protocol(most: int) -> type[H11Protocol]:
    """Return the protocol of a server that keeps at most `most` connections."""
    return type("BoundedProtocol", (GuardedConnection,), {"connections_kept": Connections(most)})


class Connections:
    """The connections of one server, by what each keeps us waiting for.

    When there are too many, the one gives way that has waited longest to send its first request; after those the
    idle, and then those that are still sending a body. One whose answer is being made never does.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.all: set[GuardedConnection] = set()
        # Each in the order in which the waiting began, with the time when it did.
        self.fresh: dict[GuardedConnection, float] = {}
        self.idle: dict[GuardedConnection, float] = {}
        self.sending: dict[GuardedConnection, float] = {}
        self.stuck: dict[GuardedConnection, float] = {}
        self._closing: dict[GuardedConnection, float] = {}
        self._closed: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._told = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, guest: GuardedConnection) -> None:
        """Count a new connection in; another one, or it, gives way if there are too many."""
        self.all.add(guest)
        self.fresh[guest] = time.monotonic()
        if self._timer is None:
            self._timer = guest.loop.call_later(SWEEP_SECONDS, self._sweep, guest.loop)
        if len(self.all) > self._most:
            del self.fresh[guest]
            waiting = next((each for each in (self.fresh, self.idle, self.sending) if each), None)
            self.fresh[guest] = time.monotonic()
            if waiting is None:
                self._close(guest, "busy", _FULL)
            else:
                self._close(next(iter(waiting)), "room", b"")

    def leave(self, guest: GuardedConnection) -> None:
        """Count a connection out."""
        self.all.discard(guest)
        for each in (self.fresh, self.idle, self.sending, self.stuck, self._closing):
            each.pop(guest, None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what is over its time; tell what was closed. Again and again, while there is any."""
        moment = time.monotonic()
        for waiting in (self.fresh, self.idle):
            for guest in [each for each, since in waiting.items() if moment - since > HEAD_SECONDS]:
                self._close(guest, "head", _TIMED_OUT)
        for guest, since in list(self.sending.items()):
            if guest.flow.read_paused:  # it is we who do not take more
                self.sending[guest] = since + SWEEP_SECONDS
            elif moment - since > BODY_SECONDS + guest.received / BODY_RATE:
                self._close(guest, "body", b"" if guest.cycle.response_started else _TIMED_OUT)
        for guest in [each for each, since in self.stuck.items() if moment - since > STUCK_SECONDS]:
            self._count(guest, "stuck")
            guest.transport.abort()
        for guest in self.all:
            if guest.transport.is_closing():
                self._closing.setdefault(guest, moment)
        for guest in [each for each, since in self._closing.items() if moment - since > LINGER_SECONDS]:
            guest.transport.abort()
        if self._closed and moment - self._told >= TOLD_EVERY:
            self._tell()
            self._told = moment
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self.all or self._closed else None

    def _close(self, guest: GuardedConnection, why: str, words: bytes) -> None:
        self._count(guest, why)
        for each in (self.fresh, self.idle, self.sending):
            each.pop(guest, None)
        if guest.cycle is not None and not guest.cycle.response_complete:
            guest.cycle.disconnected = True  # whoever reads the body is told when the connection is lost
        if words:
            guest.transport.write(words)
            guest.transport.close()
        else:
            guest.transport.abort()

    def _count(self, guest: GuardedConnection, why: str) -> None:
        self._closed[why] += 1
        self._hosts[guest.client[0] if guest.client else "a socket"] += 1

    def _tell(self) -> None:
        (host, count), *others = self._hosts.most_common()
        log.warning(
            "closed %d connections: %d sent no whole request in time, %d took no answer, %d gave way because there "
            "were more than %d; %d of them came from %s%s",
            self._closed.total(),
            self._closed["head"] + self._closed["body"],
            self._closed["stuck"],
            self._closed["room"] + self._closed["busy"],
            self._most,
            count,
            host,
            f", the rest from {len(others)} other addresses" if others else "",
        )
        self._closed.clear()
        self._hosts.clear()


class GuardedConnection(H11Protocol):
    """Uvicorn's protocol, which says at each step what it waits for."""

    connections_kept: ClassVar[Connections]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Watched(self, self.config.h11_max_incomplete_event_size or _LONGEST_HEAD)
        self.received = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn's own
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.connections_kept.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self.connections_kept.leave(self)
        super().connection_lost(exc)

    def head_read(self) -> None:
        """Begin to wait for the body."""
        kept = self.connections_kept
        kept.fresh.pop(self, None)
        kept.idle.pop(self, None)
        kept.sending[self] = time.monotonic()
        self.received = 0

    def body_read(self) -> None:
        """Begin to answer."""
        self.connections_kept.sending.pop(self, None)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, and for what is still to come of this one."""
        self.connections_kept.sending.pop(self, None)
        if self in self.connections_kept.all:
            self.connections_kept.idle[self] = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the guest to take its answer."""
        self.connections_kept.stuck.setdefault(self, time.monotonic())
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self.connections_kept.stuck.pop(self, None)
        super().resume_writing()


class _Watched(h11.Connection):
    """h11's connection, which tells its protocol how far a request has come, and refuses what is framed in two ways."""

    def __init__(self, guest: GuardedConnection, longest_head: int) -> None:
        super().__init__(h11.SERVER, longest_head)
        self._guest = guest

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._guest.head_read()
            # Whoever stands before us may have believed the other of the two (RFC 9112, section 6.1).
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                raise h11.RemoteProtocolError("Content-Length beside Transfer-Encoding")
        elif isinstance(event, h11.Data):
            self._guest.received += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            self._guest.body_read()
        return event


_LONGEST_HEAD: Final = 64 * 1024
