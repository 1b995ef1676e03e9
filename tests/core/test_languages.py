"""The language chosen by Accept-Language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral import i18n


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ru_RU", "ru"),
        ("ru_RU.UTF-8", "ru"),
        ("ru-RU,en;q=0.5", "ru"),
        ("en;q=0.5,ru_RU;q=0.6", "ru"),
        ("xx, ru;q=0", "en"),
        ("*", "en"),
        ("en;q=0, *", "ru"),
        ("xx, *;q=0.5, ru;q=0.1", "en"),
        ("", "en"),
        ("en, " * 100_000 + "ru", "en"),
        ("ru, " * 100_000, "ru"),
        ("ru;q=2", "en"),
    ],
)
def test_preferred_language_is_chosen(header: str, language: str) -> None:
    assert i18n.choose(header) == language


@given(st.text())
def test_any_header_chooses_a_language(header: str) -> None:
    assert i18n.choose(header) in i18n.LANGUAGES
