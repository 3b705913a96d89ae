"""How we call ourselves, and how a server that cannot be reached is told of."""

import asyncio
import socket
import threading

import pytest
from tests.servers.ports import wait_until

from steward.mail.transports.smtp import hello as smtp_hello
from steward.mail.transports.smtp.connect import ConnectFailed, _reason, connect
from steward.mail.transports.smtp.hello import SmtpHeloName, is_full, literal
from steward.mail.transports.smtp.reach import SmtpServerAddress, connected
from steward.mail.transports.smtp.url import parse

BOTH = "[Errno 111] Connect call failed ('::1', 587, 0, 0), [Errno 111] Connect call failed ('127.0.0.1', 587)"


@pytest.mark.parametrize(
    ("socket_name", "said"),
    [
        (("192.0.2.7", 40000), "[192.0.2.7]"),
        (("2001:db8::7", 40000, 0, 0), "[IPv6:2001:db8::7]"),
        (("fe80::1%eth0", 40000, 0, 2), "[IPv6:fe80::1]"),
        ((), "[127.0.0.1]"),
        (None, "[127.0.0.1]"),
    ],
)
def test_our_end_of_the_line_is_an_address_literal(socket_name, said):
    assert literal(socket_name) == said


def test_a_command_does_not_wait_for_the_one_before_to_be_acknowledged():
    async def is_prompt(place: SmtpServerAddress) -> bool:
        ours = await connected(place, 5)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        try:
            return bool(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        finally:
            transport.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert asyncio.run(is_prompt(SmtpServerAddress(socket.AF_INET, listener.getsockname())))


def test_a_server_that_is_not_there_is_named_once():
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConnectFailed) as refused:
            asyncio.run(connect(parse(f"smtp+plain://127.0.0.1:{port}"), None, 5))
    assert refused.value.reply.text == f"127.0.0.1:{port} cannot be reached: Connection refused"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Error connecting to mail on port 587: [Errno -2] Name or service not known", "Name or service not known"),
        (f"Error connecting to mail on port 587: Multiple exceptions: {BOTH}", "Connection refused"),
        ("Error connecting to mail on port 587: Unexpected EOF received", "Unexpected EOF received"),
        ("Timed out waiting for server ready message", "Timed out waiting for server ready message"),
        ("4.3.2 too busy", "4.3.2 too busy"),
    ],
)
def test_why_a_server_cannot_be_reached_names_no_address(text, said):
    assert _reason(text) == said


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app.example.org", True),
        ("a-1.example.co", True),
        ("app", False),
        ("localhost", False),
        ("192.0.2.7", False),
        ("app_1.example.org", False),
        ("-app.example.org", False),
        ("app..example.org", False),
        ("app.example.org ", False),
        ("", False),
        ("x" * 64 + ".example.org", False),
    ],
)
def test_a_full_name_is_a_host_with_its_domain(name, full):
    assert is_full(name) is full


@pytest.mark.parametrize(
    ("host", "found", "said"),
    [
        ("app.example.org", "other.example.org", "app.example.org"),
        ("app", "app.example.org", "app.example.org"),
        ("App", "APP.Example.Org.", "app.example.org"),
        ("app", "app", "[192.0.2.7]"),
        ("app", "localhost.localdomain", "[192.0.2.7]"),
        ("app", "7.2.0.192.in-addr.arpa", "[192.0.2.7]"),
    ],
)
def test_we_say_the_machines_full_name_where_it_has_one(monkeypatch, host, found, said):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(socket, "getfqdn", lambda: found)
    assert asyncio.run(SmtpHeloName().name(("192.0.2.7", 40000))) == said
    assert asyncio.run(SmtpHeloName("mine.example.org").name(("192.0.2.7", 40000))) == "mine.example.org"


def test_a_name_server_that_hangs_holds_nobody(monkeypatch):
    hung = threading.Event()
    monkeypatch.setattr(socket, "gethostname", lambda: "app")
    monkeypatch.setattr(socket, "getfqdn", lambda: hung.wait(20) and "late.example.org")
    monkeypatch.setattr(smtp_hello, "PATIENCE", 0.05)
    hello = SmtpHeloName()
    assert asyncio.run(hello.name(("192.0.2.7", 40000))) == "[192.0.2.7]"
    hung.set()
    wait_until(lambda: asyncio.run(hello.name(None)) == "late.example.org", "the name that came late is used", 10)
