"""Names and emails: parsing, and what strangers may see."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from referral.core import profile_fields
from referral.core.errors import InvalidRequest

# Characters with rules of their own, more often than by chance
TEXT = st.text(st.one_of(st.characters(), st.sampled_from("a\u0301\u0316\u200b\u2066\u202e .")))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" Anna ", "Anna"),
        ("Anna\u0308", "Ann\u00e4"),
        ("\u200b\u2068Anna\u2069\u200f", "Anna"),
        ("J. R. St. John", "J. R. St. John"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("\u0e17\u0e35\u0e48", "\u0e17\u0e35\u0e48"),
        ("a\u0316\u0317\u0318\u0319", "a\u0316\u0317\u0318\u0319"),
        ("x" * 100, "x" * 100),
    ],
)
def test_valid_names_are_normalised(text: str, name: str) -> None:
    assert profile_fields.parse_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u200b\u200d",
        "\u3164",
        "\u2800",
        "\u0301",
        "x\u202ey",
        "x\u202dy",
        "a\nb",
        "a\u2028b",
        "a\u2029b",
        "a\0b",
        "a\ufdd0",
        "a\uffff",
        "a\U0001fffe",
        "a\ud800",
        "a" + "\u0316" * 5,
        "\u00e9" + "\u0316" * 4,
        "a\u0316\u0316\u200d\u0316\u0316\u0316",
        "x" * 101,
        "x" + "\u0316\u0301" * 30_000,
    ],
)
def test_invalid_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        profile_fields.parse_name(text)
    assert refused.value.members["errors"][0]["field"] == "name"


@pytest.mark.parametrize("name", ["Anna", "J. R.", "St. John", "J.R.R. T.", "3.5", "Anna (w. Bob)"])
def test_strangers_see_a_plain_name(name: str) -> None:
    assert profile_fields.public_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "Win at https://evil.example",
        "evil.example",
        "www.evil",
        "EVIL.COM",
        "evil\u3002com",
        "evil\uff0ecom",
        "x\u202ey",
        None,
    ],
)
def test_strangers_do_not_see_a_web_address(name: str | None) -> None:
    assert profile_fields.public_name(name) is None


@given(TEXT)
@example("\u2000a")
def test_parsed_name_is_parsed_as_itself(text: str) -> None:
    try:
        name = profile_fields.parse_name(text)
    except InvalidRequest:
        return
    assert profile_fields.parse_name(name) == name


@pytest.mark.parametrize(
    "text", ["", "anna", "a@" + "b" * 250 + ".com", "a\u0301\u0316" * 20_000 + "@example.com"]
)
def test_invalid_emails_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        profile_fields.parse_email(text)
    assert refused.value.members["errors"][0]["field"] == "email"


@given(st.one_of(TEXT, st.emails()))
def test_parsed_email_is_parsed_as_itself(text: str) -> None:
    try:
        email = profile_fields.parse_email(f" {text}\u200b")
    except InvalidRequest:
        return
    assert profile_fields.parse_email(email) == email
