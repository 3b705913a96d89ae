"""How we call ourselves."""

import pytest

from steward.transports.smtp_connect import literal


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
