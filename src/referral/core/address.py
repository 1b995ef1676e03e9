"""The client's address, when proxies stand in front."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from socket import AF_INET, inet_pton

_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


def client_address(peer: str, forwarded_for: Sequence[str], *, trusted_proxies: int) -> str | None:
    """The address a request came from, or None where the trusted proxies do not tell it.

    peer: the other end of the connection. forwarded_for: the X-Forwarded-For lines in their
    order. Each proxy appends, so only entries counted from the right are its word; what stands
    left of them, anybody can write.
    """
    if trusted_proxies == 0:
        return parse_address(peer) or peer
    entries = [entry.strip() for line in forwarded_for for entry in line.split(",")]
    # RFC 9110, section 5.6.1: empty ones do not count
    entries = [entry for entry in entries if entry]
    if len(entries) < trusted_proxies:
        return None
    return parse_address(entries[-trusted_proxies])


def networks(address: str) -> Sequence[tuple[str, int]]:
    """What an address in its one spelling counts as, each with how many times a limit it has.

    IPv6 is its /64, which one customer has at least, at four times the limit its /56, which many
    have, and at sixteen times its /48, which anybody gets for nothing.
    """
    return _networks(address) if ":" in address else [(address, 1)]


def parse_address(text: str) -> str | None:
    """One spelling for an address, at most 39 characters, or None for what is none.

    IPv4 inside IPv6 is IPv4. A port, which some proxies add, and a zone (RFC 4007: `fe80::1%eth0`),
    which means something to one machine only, are dropped.
    """
    with suppress(OSError, ValueError):
        # The usual case in a tenth of the time: what this takes has no other spelling
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
