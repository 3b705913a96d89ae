"""How we call ourselves, and how a server that cannot be reached is told of."""

import asyncio
import socket

import pytest

from steward.transports.smtp_address import SmtpAddress, parse
from steward.transports.smtp_connect import NotConnected, _reason, connect, literal

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


def test_a_server_that_is_not_there_is_named_once():
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NotConnected) as refused:
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
    assert _reason(text, SmtpAddress("mail", 587, "starttls")) == said
