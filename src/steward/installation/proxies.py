"""Reads which web servers in front are trusted."""

from __future__ import annotations

import ipaddress


def networks(text: str) -> list[str]:
    """Return the networks that `text` names, separated by commas; IPv4 ones also as sockets for both families say them.

    Raises:
        ValueError: one is neither an address nor a network.
    """
    found = []
    for each in filter(None, map(str.strip, text.split(","))):
        try:
            found.append(ipaddress.ip_network(each, strict=False))
        except ValueError as error:
            raise ValueError(f"'{each[:60]}' is neither an address nor a network, such as 10.1.0.0/16") from error
    mapped = [f"::ffff:{n.network_address}/{96 + n.prefixlen}" for n in found if n.version == 4]
    return [*map(str, found), *mapped]
