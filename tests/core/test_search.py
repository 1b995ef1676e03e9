"""The possible meanings of a search."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core.errors import InvalidRequest
from referral.core.phone import PhoneRules
from referral.core.search import MAX_SEARCH_LENGTH, Search, Word, case_variants, parse

RUSSIA = PhoneRules(default_region="RU")


def search(text: str, rules: PhoneRules = PhoneRules(), *, invite_url: str = "") -> Search:  # noqa: B008 - the default is frozen
    found = parse(text, rules, invite_url=invite_url)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Anna", Search(words=(Word("Anna"),))),
        ("Anna  Petrova", Search(words=(Word("Anna"), Word("Petrova")))),
        ("anna +7999", Search(words=(Word("anna"), Word("+7999", "+7999")))),
        ("+7 999", Search(words=(Word("+7"), Word("999")), digits=("+7999",))),
        (
            "8 999 12",
            Search(
                words=(Word("8"), Word("999"), Word("12")),
                digits=("899912", "99912"),
                invite_code="899912",
            ),
        ),
        ("00 799", Search(words=(Word("00"), Word("799")), digits=("00799", "+799"))),
        ("7kq-2mx", Search(words=(Word("7kq-2mx"),), invite_code="7KQ2MX")),
        (
            "123456",
            Search(words=(Word("123456"),), digits=("123456",), invite_code="123456"),
        ),
    ],
)
def test_text_may_have_several_meanings(text: str, found: Search) -> None:
    meanings = search(f" {text} ")
    assert replace(meanings, phones=frozenset()) == found


@pytest.mark.parametrize(
    "text",
    [
        "+7 (999) 123-45-67",
        "00 7 999 1234567",
        "\u202a+7\xa0999\xa01234567\u202c",
        "tel:+79991234567",
    ],
)
def test_phone_is_found_in_any_spelling(text: str) -> None:
    assert "+79991234567" in search(text).phones


def test_national_phone_is_of_the_default_region() -> None:
    assert search("8 999 123-45-67", RUSSIA).phones == {"+79991234567"}


def test_phone_of_an_unserved_country_is_found() -> None:
    assert search("+79991234567", PhoneRules(denied=frozenset({"RU"}))).phones == {"+79991234567"}


def test_user_id_is_found_in_any_spelling() -> None:
    user_id = UUID("9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f")
    for text in (str(user_id), str(user_id).upper(), user_id.hex, user_id.urn):
        assert search(text).user_id == user_id


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("https://app.example/join?code=7KQ2MX", "7KQ2MX"),
        ("app.example/join?code=7kq2mx&utm=x", "7KQ2MX"),
        ("https://app.example/join?utm=1&code=7KQ2MX", "7KQ2MX"),
        ("Join: https://app.example/join?code=7KQ2MX.", "7KQ2MX"),
        ("http://127.0.0.1:8000/i/7KQ2MX", "7KQ2MX"),
        ("https://other.example/i/7KQ2MX)", "7KQ2MX"),
        ("https://app.example/join?code=7KQ2MXA", None),
        ("https://app.example/join", None),
    ],
)
def test_code_of_a_pasted_link(text: str, code: str | None) -> None:
    found = search(text, invite_url="https://app.example/join?code={code}")
    assert (found.invite_code, found.is_link) == (code, code is not None)


def test_many_words_are_one_text() -> None:
    text = "a b c d e f g h i"
    assert search(text).words == (Word(text),)


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_blank_text_is_no_search(text: str) -> None:
    assert parse(text, PhoneRules()) is None


@pytest.mark.parametrize(
    "text", ["x" * (MAX_SEARCH_LENGTH + 1), "a\0b", "a\nb", "\ud800", "a\u0315\u0300" * 20_000]
)
def test_texts_that_no_database_accepts_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text, PhoneRules())


@given(st.text(min_size=1))
def test_case_variants_match_the_text_in_any_case(text: str) -> None:
    places = case_variants(text)
    assert len(places) == len(text)
    for cased in (text, *(case for case in (text.upper(), text.lower()) if len(case) == len(text))):
        for place, character in zip(places, cased, strict=True):
            # In Greek, case depends on the neighbours too
            assert character in place or character in "ςΣσ" or len(re.sub(r"\W", "", cased)) < 2
