"""The client's IP address behind trusted proxies, and the networks that share its limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from socket import AF_INET, inet_pton

_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


def client_address(peer: str, forwarded_for: Sequence[str], *, trusted_proxies: int) -> str | None:
    """Return the address that a request came from; None if the trusted proxies did not add it.

    peer: the other end of the connection. forwarded_for: the X-Forwarded-For lines in order. Each
    proxy appends an entry, so only as many entries as there are trusted proxies, counted from the
    right, can be believed: clients can forge everything to the left of them.
    """
    if trusted_proxies == 0:
        return parse_address(peer) or peer
    entries = [entry.strip() for line in forwarded_for for entry in line.split(",")]
    # Empty list elements are ignored (RFC 9110, section 5.6.1.2)
    entries = [entry for entry in entries if entry]
    if len(entries) < trusted_proxies:
        return None
    return parse_address(entries[-trusted_proxies])


def networks(address: str) -> Sequence[tuple[str, int]]:
    """Return the networks to limit for a canonical address, each with a multiplier of the limit.

    An IPv4 address is limited by itself. IPv6 is limited by its /64, the least that one customer
    gets; by its /56, which many get, at four times the limit; and by its /48, which anybody can get
    for free, at sixteen times.
    """
    return _networks(address) if ":" in address else [(address, 1)]


def parse_address(text: str) -> str | None:
    """Return the canonical spelling of an address, at most 39 characters; None if it is not one.

    IPv4-mapped IPv6 becomes IPv4. A port, which some proxies add, is dropped, and so is a zone
    (RFC 4007: `fe80::1%eth0`), which has a meaning only on one machine.
    """
    with suppress(OSError, ValueError):
        # The usual case, in a tenth of the time: inet_pton accepts only the canonical spelling
        inet_pton(AF_INET, text)
        return text
    host = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address(next(filter(None, host.groups())) if host else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


@lru_cache(maxsize=1024)
def _networks(address: str) -> Sequence[tuple[str, int]]:
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return [(address, 1)]
    return [
        (str(ip_network((int(parsed), bits), strict=False)), times)
        for bits, times in ((64, 1), (56, 4), (48, 16))
    ]
