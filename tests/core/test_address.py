"""The client's address behind trusted proxies."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core.address import client_address, parse_address

PEER = "10.0.0.1"
ADDRESSES = st.ip_addresses().map(str)
# Anything that a client may send in X-Forwarded-For
LINES = st.lists(st.text())


@given(LINES)
def test_header_is_ignored_without_trusted_proxies(lines: list[str]) -> None:
    assert client_address(PEER, lines, trusted_proxies=0) == PEER


@pytest.mark.parametrize(
    ("lines", "proxies", "address"),
    [
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], 1, "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], 2, "198.51.100.1"),
        (["198.51.100.1,203.0.113.7"], 2, "198.51.100.1"),
        (["198.51.100.1 \t,\t 203.0.113.7 "], 2, "198.51.100.1"),
        (["198.51.100.1", "203.0.113.7"], 1, "203.0.113.7"),
        (["198.51.100.1", "203.0.113.7"], 2, "198.51.100.1"),
        (["192.0.2.1, 198.51.100.1", "203.0.113.7"], 3, "192.0.2.1"),
        (["192.0.2.1", "198.51.100.1, 203.0.113.7"], 3, "192.0.2.1"),
        (["2001:db8::1, 203.0.113.7"], 2, "2001:db8::1"),
    ],
)
def test_entries_are_counted_from_the_right_of_all_lines(
    lines: list[str], proxies: int, address: str
) -> None:
    assert client_address(PEER, lines, trusted_proxies=proxies) == address


@given(forged=LINES, hops=st.lists(ADDRESSES, min_size=1, max_size=4), data=st.data())
def test_forged_entries_change_nothing(
    forged: list[str], hops: list[str], data: st.DataObject
) -> None:
    """Proxies may append to the client's last line, or add lines of their own."""
    expected = client_address(PEER, hops, trusted_proxies=len(hops))
    assert expected == parse_address(hops[0])
    cut = data.draw(st.integers(0, len(hops)))
    lines = [*forged, *([", ".join(hops[:cut])] if cut else []), *hops[cut:]]
    assert client_address(PEER, lines, trusted_proxies=len(hops)) == expected
    joined = [", ".join([*forged, *hops])]
    assert client_address(PEER, joined, trusted_proxies=len(hops)) == expected


@given(hops=st.lists(ADDRESSES, max_size=4), more=st.integers(1, 5))
def test_fewer_entries_than_proxies_give_none(hops: list[str], more: int) -> None:
    assert client_address(PEER, hops, trusted_proxies=len(hops) + more) is None
    joined = [", ".join(hops)] if hops else []
    assert client_address(PEER, joined, trusted_proxies=len(hops) + more) is None


@pytest.mark.parametrize(
    ("lines", "proxies"),
    [([""], 1), ([" "], 1), (["", "203.0.113.7"], 2), ([", 203.0.113.7"], 2), ([",,,"], 3)],
)
def test_empty_entry_is_not_an_address(lines: list[str], proxies: int) -> None:
    """RFC 9110, section 5.6.1.2: recipients ignore empty list elements."""
    assert client_address(PEER, lines, trusted_proxies=proxies) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:CB00:7107", "203.0.113.7"),
        ("0:0:0:0:0:ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:65535", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
    ],
)
def test_address_has_one_spelling(text: str, address: str) -> None:
    assert parse_address(text) == address
    assert client_address(PEER, [text], trusted_proxies=1) == address
    assert client_address(text, [], trusted_proxies=0) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "localhost",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.07",
        "0xcb007107",
        "3405803783",
        "203.0.113.7/32",
        "203.0.113.7:",
        ":443",
        "[]",
        "[]:443",
        "[2001:db8::1",
        "2001:db8::1]",
        "2001:db8::1::",
        "\uff11.1.1.1",
        "\u0661.1.1.1:443",
        "203.0.113.7\0",
    ],
)
def test_text_that_is_not_an_address_gives_none(text: str) -> None:
    """A peer without an address, such as a Unix socket, stays unchanged."""
    assert parse_address(text) is None
    assert client_address(PEER, [text], trusted_proxies=1) is None
    assert client_address(text, [], trusted_proxies=0) == text


@given(st.ip_addresses())
def test_any_spelling_gives_the_canonical_address(address: IPv4Address | IPv6Address) -> None:
    canonical = parse_address(str(address))
    assert canonical is not None
    assert parse_address(canonical) == parse_address(str(address).upper()) == canonical
    assert parse_address(f"[{address}]") == parse_address(f"[{address}]:443") == canonical


@given(st.ip_addresses(v=4))
def test_ipv4_mapped_ipv6_is_ipv4(address: IPv4Address) -> None:
    assert parse_address(f"::ffff:{address}") == parse_address(str(address)) == str(address)
    assert parse_address(str(ip_address(f"::ffff:{address}"))) == str(address)
    assert (
        parse_address(f"{address}:443") == parse_address(f"[::ffff:{address}]:443") == str(address)
    )


@given(st.text())
def test_any_text_is_an_address_or_gives_none(text: str) -> None:
    """A line without commas is one entry."""
    line = text.replace(",", "")
    assert client_address(PEER, [line], trusted_proxies=1) == parse_address(line.strip())


@pytest.mark.parametrize("length", [1, 15, 60, 5000])
@pytest.mark.parametrize(
    ("before", "address"),
    [("fe80::1", "fe80::1"), ("2001:DB8::1", "2001:db8::1"), ("::ffff:192.0.2.1", "192.0.2.1")],
)
def test_zone_is_dropped(before: str, address: str, length: int) -> None:
    """RFC 4007: a zone has a meaning only on one machine, and may be of any length."""
    text = f"{before}%{'a' * length}"
    assert parse_address(text) == parse_address(f"[{text}]:443") == address
    assert client_address(PEER, [f"198.51.100.7, {text}"], trusted_proxies=1) == address
    assert client_address(text, [], trusted_proxies=0) == address


def test_empty_entries_are_ignored() -> None:
    assert (
        client_address(PEER, ["192.0.2.1, ,", "", "192.0.2.2,"], trusted_proxies=2) == "192.0.2.1"
    )
    assert client_address(PEER, [" , ", ""], trusted_proxies=1) is None
