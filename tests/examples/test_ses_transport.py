"""The example that sends over HTTP keeps what every transport promises, and tells each refusal for what it is."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from tests.examples.loading import load_example
from tests.servers.ses import KEY, Ses

from steward import ConfigurationError, Outcome, Phase, Reply, Transport, TransportOptions
from steward.contracts import TransportContract
from steward.contracts.transport import SOON, parcel

ses_transport = load_example("ses_transport")


def transport_to(url: str) -> Transport:
    made: Transport = ses_transport.register_transports()["ses"](TransportOptions(url))
    return made


@pytest.fixture
def server() -> Iterator[Ses]:
    with Ses() as server:
        yield server


@pytest.fixture
def transport(server: Ses) -> Iterator[Transport]:
    made = transport_to(server.url())
    yield made
    made.close()


class TestSesTransport(TransportContract):
    @pytest.fixture
    def transport(self, server: Ses) -> Iterator[Transport]:
        made = transport_to(server.url())
        yield made
        made.close()

    @pytest.fixture
    def carried(self, server: Ses) -> Callable[[], list[bytes]]:
        return lambda: [wire for _, _, wire in server.sent]

    @pytest.fixture
    def unreachable(self) -> Iterator[Transport]:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        made = transport_to(f"ses://{KEY}:secret@127.0.0.1:{port}?region=local")
        yield made
        made.close()


def test_the_envelope_is_the_parcels(transport: Transport, server: Ses) -> None:
    reply = transport.send(parcel("ada@example.org")).result(SOON)
    assert reply == Reply(Outcome.ACCEPTED, Phase.DONE, 200, "0102-1")
    assert [(sender, to) for sender, to, _ in server.sent] == [("office@example.org", ["ada@example.org"])]


@pytest.mark.parametrize(
    ("status", "kind", "outcome", "ours"),
    [
        (400, "MessageRejected", Outcome.REFUSED, False),
        (400, "MailFromDomainNotVerifiedException:http://x", Outcome.DEFERRED, True),
        (400, "SendingPausedException", Outcome.DEFERRED, True),
        (403, "AccessDeniedException", Outcome.DEFERRED, True),
        (429, "TooManyRequestsException", Outcome.DEFERRED, False),
        (503, "ServiceUnavailable", Outcome.DEFERRED, False),
        (500, "InternalFailure", Outcome.UNCERTAIN, False),
    ],
)
def test_each_refusal_is_told_for_what_it_is(
    transport: Transport, server: Ses, status: int, kind: str, outcome: Outcome, ours: bool
) -> None:
    server.answer = lambda recipients: (status, kind, f"No: \x1b[31m{recipients[0]}\n")
    reply = transport.send(parcel()).result(SOON)
    assert (reply.outcome, reply.code, reply.ours) == (outcome, status, ours)
    assert reply.text == "No:  [31mada@example.org"
    assert not server.sent


def test_what_was_perhaps_taken_is_uncertain(transport: Transport, server: Ses) -> None:
    def drop(recipients: list[str]) -> None:
        raise ConnectionError

    server.answer = drop
    assert transport.send(parcel()).result(SOON).outcome is Outcome.UNCERTAIN


def test_a_wrong_secret_is_our_own_trouble_and_told_by_the_check(server: Ses) -> None:
    transport = transport_to(server.url("another"))
    try:
        for reply in (transport.check(), transport.send(parcel()).result(SOON)):
            assert (reply.outcome, reply.phase, reply.ours) == (Outcome.DEFERRED, Phase.AUTH, True)
            assert reply.text == "The signature does not match"
    finally:
        transport.close()


@pytest.mark.parametrize("url", ["ses://", "ses://key@host", "ses://key:secret@host", "ses://:secret@a.b.c"])
def test_an_address_that_lacks_something_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a key, a secret, a host and a region"):
        transport_to(url)
