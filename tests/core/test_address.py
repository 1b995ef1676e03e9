"""The client's address behind proxies."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core.address import client_address, parse_address

PEER = "10.0.0.1"
ADDRESSES = st.ip_addresses().map(str)
# Whatever a client writes into a header line
LINES = st.lists(st.text())


@given(LINES)
def test_without_proxies_the_header_is_nobodys_word(lines: list[str]) -> None:
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
def test_entries_count_from_the_right_of_all_lines(
    lines: list[str], proxies: int, address: str
) -> None:
    assert client_address(PEER, lines, trusted_proxies=proxies) == address


@given(forged=LINES, hops=st.lists(ADDRESSES, min_size=1, max_size=4), data=st.data())
def test_forging_what_stands_left_changes_nothing(
    forged: list[str], hops: list[str], data: st.DataObject
) -> None:
    """However the proxies append: to the client's last line, or as lines of their own."""
    expected = client_address(PEER, hops, trusted_proxies=len(hops))
    assert expected == parse_address(hops[0])
    cut = data.draw(st.integers(0, len(hops)))
    lines = [*forged, *([", ".join(hops[:cut])] if cut else []), *hops[cut:]]
    assert client_address(PEER, lines, trusted_proxies=len(hops)) == expected
    joined = [", ".join([*forged, *hops])]
    assert client_address(PEER, joined, trusted_proxies=len(hops)) == expected


@given(hops=st.lists(ADDRESSES, max_size=4), more=st.integers(1, 5))
def test_fewer_entries_than_proxies_tell_nothing(hops: list[str], more: int) -> None:
    assert client_address(PEER, hops, trusted_proxies=len(hops) + more) is None
    joined = [", ".join(hops)] if hops else []
    assert client_address(PEER, joined, trusted_proxies=len(hops) + more) is None


@pytest.mark.parametrize(
    ("lines", "proxies"),
    [([""], 1), ([" "], 1), (["", "203.0.113.7"], 2), ([", 203.0.113.7"], 2), ([",,,"], 3)],
)
def test_an_empty_entry_is_no_entry(lines: list[str], proxies: int) -> None:
    """RFC 9110, section 5.6.1.2: a recipient ignores empty elements of a list."""
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
def test_one_spelling_for_an_address(text: str, address: str) -> None:
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
def test_what_is_no_address_tells_nothing(text: str) -> None:
    """The peer of a connection that is none, such as a unix socket's, stays as it is."""
    assert parse_address(text) is None
    assert client_address(PEER, [text], trusted_proxies=1) is None
    assert client_address(text, [], trusted_proxies=0) == text


@given(st.ip_addresses())
def test_an_address_however_it_is_spelt(address: IPv4Address | IPv6Address) -> None:
    spelt = parse_address(str(address))
    assert spelt is not None
    assert parse_address(spelt) == parse_address(str(address).upper()) == spelt
    assert parse_address(f"[{address}]") == parse_address(f"[{address}]:443") == spelt


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_is_ipv4(address: IPv4Address) -> None:
    assert parse_address(f"::ffff:{address}") == parse_address(str(address)) == str(address)
    assert parse_address(str(ip_address(f"::ffff:{address}"))) == str(address)
    assert (
        parse_address(f"{address}:443") == parse_address(f"[::ffff:{address}]:443") == str(address)
    )


@given(st.text())
def test_any_text_is_an_address_or_tells_nothing(text: str) -> None:
    """A line without commas is one entry, and what is no address is no word of a proxy."""
    line = text.replace(",", "")
    assert client_address(PEER, [line], trusted_proxies=1) == parse_address(line.strip())


@pytest.mark.parametrize("length", [1, 15, 60, 5000])
@pytest.mark.parametrize(
    ("before", "address"),
    [("fe80::1", "fe80::1"), ("2001:DB8::1", "2001:db8::1"), ("::ffff:192.0.2.1", "192.0.2.1")],
)
def test_a_zone_counts_for_nothing(before: str, address: str, length: int) -> None:
    """RFC 4007: it means something to one machine only, and may be as long as one likes."""
    text = f"{before}%{'a' * length}"
    assert parse_address(text) == parse_address(f"[{text}]:443") == address
    assert client_address(PEER, [f"198.51.100.7, {text}"], trusted_proxies=1) == address
    assert client_address(text, [], trusted_proxies=0) == address


def test_empty_entries_count_for_nothing() -> None:
    assert (
        client_address(PEER, ["192.0.2.1, ,", "", "192.0.2.2,"], trusted_proxies=2) == "192.0.2.1"
    )
    assert client_address(PEER, [" , ", ""], trusted_proxies=1) is None
