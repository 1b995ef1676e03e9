"""The languages, and the one chosen by Accept-Language."""

from __future__ import annotations

import pytest
from babel import Locale as Cldr
from hypothesis import given
from hypothesis import strategies as st

from referral import i18n
from referral.i18n import rules

TEN = tuple(i18n.PREPARED)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("ru_RU", "ru"),
        ("ru_RU.UTF-8", "ru"),
        ("sr_RS@latin, ru;q=0.1", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-US,ru;q=0.9", "en"),
        ("xx, yy;q=0.9", "en"),
        ("xx, ru;q=0.3, en;q=0.2", "ru"),
        ("en;q=0.2, ru;q=0.3", "ru"),
        ("en;q=0, ru;q=0.001", "ru"),
        ("xx, ru;q=0", "en"),
        ("*", "en"),
        ("*, ru;q=0.5", "en"),
        ("en;q=0, *", "ru"),
        ("xx;q=1.0, *;q=0.5, ru;q=0.1", "en"),
        ("ru;q=2, ;;, =, ru;q=1;x", "en"),
        ("rus, ruu-RU", "en"),
        ("en, " * 100_000 + "ru", "en"),
        ("ru, " * 100_000, "ru"),
        # Tags with regions and scripts
        ("pt-BR", "pt-BR"),
        ("PT_br", "pt-BR"),
        ("pt", "pt-BR"),
        ("pt-PT, en;q=0.9", "pt-BR"),
        ("es-419", "es"),
        ("de-AT-1996", "de"),
        ("uk-UA", "uk"),
        ("kk-Cyrl-KZ", "kk"),
        ("ar-EG", "ar"),
        ("zh-Hant-TW, fr-CA;q=0.2", "fr"),
        # Only what a refusal covers is refused (RFC 4647, section 3.3.1)
        ("ru-RU;q=0, ru;q=0.5", "ru"),
        ("pt;q=0, *;q=0.1", "en"),
        ("pt;q=0, pt-PT", "en"),
        ("pt;q=0, pt-BR", "pt-BR"),
        ("pt-BR;q=0, pt", "en"),
    ],
)
def test_preferred_language_is_chosen(header: str, language: str) -> None:
    assert i18n.choose(header, TEN) == language


@given(st.text())
def test_any_header_chooses_a_language(header: str) -> None:
    assert i18n.choose(header) in i18n.LANGUAGES


def test_only_offered_languages_are_chosen() -> None:
    assert i18n.choose("de, ru;q=0.5", ("en", "ru")) == "ru"
    assert set(i18n.LANGUAGES) <= set(TEN)


@pytest.mark.parametrize("tag", TEN)
def test_facts_of_a_language_agree_with_cldr(tag: str) -> None:
    """Two numbers have the same plural form exactly if they are in the same category of CLDR."""
    locale = i18n.PREPARED[tag]
    cldr = Cldr.parse(locale.folder)
    assert locale.direction == cldr.text_direction
    assert locale.name[:5].casefold() in (cldr.get_display_name() or "").casefold()
    pairs = {(cldr.plural_form(n), form) for n, form in zip(NUMBERS, forms(tag), strict=True)}
    assert len(pairs) == len({category for category, _ in pairs}) == rules.plural_count(locale)


NUMBERS = [*range(125), 200, 1000, 1001, 1002, 1005, 1011]


def forms(tag: str) -> list[int]:
    return [rules.form_of(i18n.PREPARED[tag], number) for number in NUMBERS]
