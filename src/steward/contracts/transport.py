"""What every transport promises: one message to one recipient, byte for byte, and the truth about what became of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait as wait_for
from typing import ClassVar, Final

import pytest

from steward.mail.transport import Parcel, Phase, Transport
from steward.model.results import Outcome

WIRE: Final = b"Subject: dots\r\n\r\n.\r\n..\r\n.begins with one\r\nno more\r\n"
SOON: Final = 10.0
LONG: Final = 60.0


def parcel(to: str = "ada@example.org", wire: bytes = WIRE, n: int = 1, *, urgent: bool = False) -> Parcel:
    """Return a message to be carried."""
    return Parcel("office@example.org", to, wire, f"<{n}@example.org>", urgent=urgent)


class _NotNow(Exception):
    pass


class TransportContract:
    """Inherit it and define the fixtures `transport`, `carried` and `unreachable`.

    `outcome` is what a message that went well has come to, if it is not `Outcome.ACCEPTED`.
    """

    outcome: ClassVar[Outcome] = Outcome.ACCEPTED

    @pytest.fixture
    def transport(self) -> Iterator[Transport]:
        """Yield a transport that reaches its server, and close it."""
        raise NotImplementedError("Define the fixture `transport` in your class")

    @pytest.fixture
    def carried(self, transport: Transport) -> Callable[[], list[bytes]]:
        """Return what gives the messages that have come out at the other end, as bytes, each as often as it came."""
        raise NotImplementedError("Define the fixture `carried` in your class")

    @pytest.fixture
    def unreachable(self) -> Iterator[Transport]:
        """Yield a transport whose server (or folder) is away, and close it."""
        raise NotImplementedError("Define the fixture `unreachable` in your class")

    def test_carries_a_message_byte_for_byte_and_says_so(
        self, transport: Transport, carried: Callable[[], list[bytes]]
    ) -> None:
        reply = transport.send(parcel()).result(SOON)
        assert (reply.outcome, reply.phase, reply.ours) == (self.outcome, Phase.DONE, False)
        assert carried() == [WIRE]

    def test_asks_before_the_last_byte_goes(self, transport: Transport, carried: Callable[[], list[bytes]]) -> None:
        there_before: list[int] = []

        async def before_dot() -> None:
            await asyncio.sleep(0.02)
            there_before.append(len(carried()))

        transport.send(parcel(), before_dot).result(SOON)
        assert there_before == [0]
        assert len(carried()) == 1

    def test_sends_nothing_if_told_not_to_and_goes_on_with_the_next(
        self, transport: Transport, carried: Callable[[], list[bytes]]
    ) -> None:
        async def before_dot() -> None:
            raise _NotNow

        with pytest.raises(_NotNow):
            transport.send(parcel(), before_dot).result(SOON)
        assert carried() == []
        assert transport.send(parcel()).result(SOON).outcome is self.outcome
        assert len(carried()) == 1

    def test_returns_at_once(self, transport: Transport, carried: Callable[[], list[bytes]]) -> None:
        release = threading.Event()

        async def before_dot() -> None:
            while not release.is_set():
                await asyncio.sleep(0.005)

        began = time.monotonic()
        reply = transport.send(parcel(), before_dot)
        assert time.monotonic() - began < 1.0
        assert not reply.done()
        release.set()
        assert reply.result(SOON).outcome is self.outcome

    def test_keeps_copies_apart_when_many_go_at_once(
        self, transport: Transport, carried: Callable[[], list[bytes]]
    ) -> None:
        wires = [b"Subject: %d\r\n\r\n%d\r\n" % (n, n) for n in range(60)]
        replies = [transport.send(parcel(wire=wire, n=n, urgent=n % 7 == 0)) for n, wire in enumerate(wires)]
        wait_for(replies, LONG)
        assert {r.result(0).outcome for r in replies} == {self.outcome}
        assert sorted(carried()) == sorted(wires)

    def test_keeps_a_repeat_beside_the_first(self, transport: Transport, carried: Callable[[], list[bytes]]) -> None:
        for _ in range(2):
            transport.send(parcel()).result(SOON)
        assert carried() == [WIRE, WIRE]

    def test_leaves_every_byte_as_it_is(self, transport: Transport, carried: Callable[[], list[bytes]]) -> None:
        lines = [b"\xc3\xa9\xff\x00\x80", b"x" * 998, b"tab\tand space ", b"", b"From here", b"."]
        wire = b"Subject: bytes\r\n\r\n" + b"\r\n".join(lines) + b"\r\n"
        assert transport.send(parcel(wire=wire)).result(SOON).outcome is self.outcome
        assert carried() == [wire]

    def test_checks_itself_without_sending(self, transport: Transport, carried: Callable[[], list[bytes]]) -> None:
        reply = transport.check()
        assert (reply.outcome, reply.phase) == (Outcome.ACCEPTED, Phase.DONE)
        assert carried() == []

    def test_nothing_is_silent_when_all_is_well(self, transport: Transport) -> None:
        transport.send(parcel()).result(SOON)
        assert transport.silent(30.0) == 0
        transport.reconnect()
        assert transport.send(parcel()).result(SOON).outcome is self.outcome

    def test_tells_of_a_server_that_is_away_and_never_raises(self, unreachable: Transport) -> None:
        replies = [unreachable.send(parcel(n=n)) for n in range(5)]
        wait_for(replies, LONG)
        for reply in replies:
            said = reply.result(0)
            assert said.outcome is Outcome.DEFERRED, said
            assert said.text.isprintable()
            assert said.text
        checked = unreachable.check()
        assert checked.outcome is not Outcome.ACCEPTED
        assert checked.text

    def test_gives_up_its_threads(self, transport: Transport) -> None:
        transport.send(parcel()).result(SOON)
        transport.close()
        transport.close()
        assert not [t for t in threading.enumerate() if t.name == transport.name and t.is_alive()]
