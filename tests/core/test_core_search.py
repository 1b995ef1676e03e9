"""What a search may mean."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core.errors import InvalidRequest
from referral.core.phone import Rules
from referral.core.search import LONGEST, Search, read, spellings

RUSSIA = Rules(default_region="RU")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Anna", Search(text="Anna", phone=None, digits=None, invite_code=None)),
        ("+7 999", Search(text="+7 999", phone=None, digits="+7999", invite_code=None)),
        ("7kq-2mx", Search(text="7kq-2mx", phone=None, digits=None, invite_code="7KQ2MX")),
        ("123456", Search(text="123456", phone=None, digits="123456", invite_code="123456")),
        (
            "+7 (999) 123-45-67",
            Search(
                text="+7 (999) 123-45-67",
                phone="+79991234567",
                digits="+79991234567",
                invite_code=None,
            ),
        ),
    ],
)
def test_a_text_may_mean_several_things(text: str, found: Search) -> None:
    assert read(f" {text} ", Rules()) == found


def test_a_phone_without_its_country_is_of_the_default_region() -> None:
    found = read("8 999 123-45-67", RUSSIA)
    assert found is not None
    assert found.phone == "+79991234567"


def test_phones_of_countries_that_are_served_no_more_are_found() -> None:
    found = read("+79991234567", Rules(denied=frozenset({"RU"})))
    assert found is not None
    assert found.phone == "+79991234567"


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_nothing_is_no_search(text: str) -> None:
    assert read(text, Rules()) is None


@pytest.mark.parametrize("text", ["x" * (LONGEST + 1), "a\0b", "a\nb", "\ud800"])
def test_texts_that_no_database_takes(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read(text, Rules())


@given(st.text(min_size=1))
def test_spellings_fit_the_text_in_any_case_of_one_letter(text: str) -> None:
    places = spellings(text)
    assert len(places) == len(text)
    for cased in (text, *(case for case in (text.upper(), text.lower()) if len(case) == len(text))):
        for place, character in zip(places, cased, strict=True):
            # Case is a matter of the neighbours too, in Greek
            assert character in place or character in "ςΣσ" or len(re.sub(r"\W", "", cased)) < 2
