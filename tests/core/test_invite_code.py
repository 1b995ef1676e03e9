"""Invite codes: generating and parsing."""

from __future__ import annotations

from collections import Counter
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core import invite_code
from referral.core.errors import UnknownInviteCode

CODES = st.text(invite_code.ALPHABET, min_size=6, max_size=6)
# Characters that people and keyboards substitute for one of the alphabet
MISREAD = {"0": "0Oo", "1": "1IiLl", "V": "VvUu"}


def test_alphabet_is_crockfords() -> None:
    """All digits and letters except I, L, O and U, each once."""
    assert invite_code.ALPHABET == "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert invite_code.LENGTH == 6


@given(st.lists(st.integers(0, 31), min_size=6, max_size=6))
def test_new_code_is_parsed_as_itself(numbers: list[int]) -> None:
    left = iter(numbers)
    code = invite_code.new(lambda _: next(left))
    assert code == "".join(invite_code.ALPHABET[number] for number in numbers)
    assert invite_code.parse(code) == code


def test_each_letter_is_one_draw_out_of_32() -> None:
    """So a uniform source gives uniform codes, and all 2^30 are possible."""
    asked: list[int] = []
    numbers = cycle(range(32))

    def randbelow(below: int) -> int:
        asked.append(below)
        return next(numbers)

    letters = Counter("".join(invite_code.new(randbelow) for _ in range(32 * 6)))
    assert asked == [32] * (32 * 6 * 6)
    assert letters == dict.fromkeys(invite_code.ALPHABET, 36)


@given(CODES, st.data())
def test_typed_code_is_parsed_leniently(code: str, data: st.DataObject) -> None:
    """Any case, O for 0, I or L for 1, U for V, hyphens anywhere, spaces around it."""
    typed = "".join(
        data.draw(st.sampled_from(MISREAD.get(letter, letter + letter.lower())))
        + data.draw(st.sampled_from(["", "", "-", "--"]))
        for letter in code
    )
    around = st.text(" \t\n", max_size=3)
    assert invite_code.parse(data.draw(around) + typed + data.draw(around)) == code


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("7kq2mx", "7KQ2MX"),
        ("7KQ-2MX", "7KQ2MX"),
        ("7KQ\u20102MX", "7KQ2MX"),
        ("7KQ2MX\u200b", "7KQ2MX"),
        ("\u20687KQ2MX\u2069.", "7KQ2MX"),
        ("(7KQ 2MX)", "7KQ2MX"),
        ("\u00ab7kq2mx\u00bb!", "7KQ2MX"),
        ("'7KQ2MX'...", "7KQ2MX"),
        ("https://x.example/i/7kq2mx", "7KQ2MX"),
        ("HTTPS://X.EXAMPLE/I/7KQ2MX).", "7KQ2MX"),
        ("Join me at Bloom: http://127.0.0.1:8000/i/7KQ2MX?utm_source=sms#top", "7KQ2MX"),
        ("<https://x.example/i/7KQ2MX/> https://x.example/i/7KQ2MX", "7KQ2MX"),
        (" 7kq-2mx\n", "7KQ2MX"),
        ("OoIiLl", "001111"),
        ("uUvV00", "VVVV00"),
    ],
)
def test_pasted_texts_and_links_are_parsed(typed: str, code: str) -> None:
    assert invite_code.parse(typed) == code


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "------",
        "7KQ2M",
        "7KQ2MXX",
        "7KQ2M!",
        "7KQ2M\0",
        "\0007KQ2MX",
        "7KQ2M=",
        "7KQ2M%",
        "7KQ2M'",
        "7KQ_2MX",
        "\u0131" + "11111",  # upper() makes I of it
        "\u017f" * 6,  # upper() makes S of it
        "\xdf" * 3,  # upper() makes SS of it
        "\ufb01" * 3,  # upper() makes FI of it
        "\u212a" * 6,  # the Kelvin sign; lower() makes k of it
        "\uff17\uff2b\uff31\uff12\uff2d\uff38",  # full width
        "\u0667" * 6,  # Arabic digits
        "\u0410\u0412\u0421\u0415\u041d\u041a",  # Cyrillic
        "7KQ2MX" + "." * 2043,
        "my code is 7KQ2MX",
        "https://abcdef/",
        "https://referral.example/join/7KQ2MX",
        "https://x.example/i/7KQ2MXX",
        "https://x.example/i/7KQ2MX https://x.example/i/7KQ2MY",
        "\ud800KQ2MX",
    ],
)
def test_text_without_a_code_is_unknown(typed: str) -> None:
    with pytest.raises(UnknownInviteCode):
        invite_code.parse(typed)


@given(st.text())
def test_any_text_is_a_code_or_unknown(text: str) -> None:
    try:
        code = invite_code.parse(text)
    except UnknownInviteCode:
        return
    assert len(code) == 6
    assert set(code) <= set(invite_code.ALPHABET)
    assert invite_code.parse(code) == code


@pytest.mark.parametrize(
    ("invite_url", "text"),
    [
        ("https://app.example/{code}", "https://app.example/7kq2mx?utm=1"),
        ("https://app.example/{code}", "Join me: app.example/7KQ2MX."),
        ("https://app.example/join?ref={code}", "https://app.example/join?utm=a&ref=7KQ2MX&b=1"),
        ("https://app.example/join?ref={code}", "https://app.example/join?ref=7KQ2MX#abcdef"),
        ("https://app.example/#/in/{code}", "https://app.example/#/in/7KQ2MX"),
        ("https://app.example/{code}", "https://old.example/i/7KQ2MX"),
    ],
)
def test_links_of_the_configured_form_are_parsed(invite_url: str, text: str) -> None:
    assert invite_code.parse(text, invite_url) == "7KQ2MX"


@pytest.mark.parametrize(
    ("invite_url", "text"),
    [
        ("https://app.example/{code}", "https://evil-app.example/7KQ2MX"),
        ("https://app.example/{code}", "https://app.example/7KQ2MXX"),
        ("https://app.example/{code}", "https://app.example/7KQ2MX app.example/P0V3RT"),
        ("https://app.example/join?ref={code}", "https://app.example/join?xref=7KQ2MX"),
        ("https://app.example/join?ref={code}", "https://app.example/joins?ref=7KQ2MX"),
    ],
)
def test_other_links_have_no_code(invite_url: str, text: str) -> None:
    with pytest.raises(UnknownInviteCode):
        invite_code.parse(text, invite_url)
