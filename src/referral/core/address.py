"""The client's address, when proxies stand in front."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address


def client_address(peer: str, forwarded_for: Sequence[str], *, trusted_proxies: int) -> str | None:
    """The address a request came from, or None where fewer proxies spoke than are trusted.

    peer: the other end of the connection. forwarded_for: the X-Forwarded-For lines in their
    order. Each proxy appends, so only entries counted from the right are its word; what stands
    left of them, anybody can write.
    """
    if trusted_proxies == 0:
        return canonical(peer)
    entries = [entry.strip() for line in forwarded_for for entry in line.split(",")]
    if len(entries) < trusted_proxies:
        return None
    return canonical(entries[-trusted_proxies])


def canonical(address: str) -> str:
    """One spelling for an address; IPv4 inside IPv6 is IPv4. Other text stays as it is."""
    try:
        parsed = ip_address(address.strip("[]"))
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)
