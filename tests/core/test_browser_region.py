"""The country guessed from a browser's languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core import browser_region
from referral.i18n import accept_language


@pytest.mark.parametrize(
    ("languages", "region"),
    [
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "RU"),
        ("ru", "RU"),
        ("ru_RU", "RU"),
        ("ru_KZ.UTF-8", "KZ"),
        ("RU-ru", "RU"),
        ("ru-KZ", "KZ"),
        ("kk", "KZ"),
        ("uk", "UA"),
        ("en-GB", "GB"),
        ("en-US,en;q=0.9,ru;q=0.8", "US"),
        ("en,ru;q=0.9", "RU"),
        ("en;q=0.5, de-AT", "AT"),
        ("zh-Hant-TW", "TW"),
        ("sr_Latn_RS", "RS"),
        ("de-CH-1996", "CH"),
        ("ca-ES-valencia", "ES"),
        ("es-419,pt-BR", "BR"),
        ("ru-RU;q=0, en-GB;q=0.1", "GB"),
        # Languages of many countries
        ("en", None),
        ("es", None),
        ("pt", None),
        ("fr,ar;q=0.5", None),
        ("de", None),
        ("*", None),
        ("", None),
        ("en-XX", None),
        ("en-001", None),
        ("x-klingon", None),
        ("ru RU", None),
        ("en," * 400 + "ru", None),
    ],
)
def test_region_of_the_languages(languages: str, region: str | None) -> None:
    assert browser_region.choose(accept_language.parse(languages)) == region


@given(st.text())
def test_any_header_is_parsed(header: str) -> None:
    region = browser_region.choose(accept_language.parse(header))
    assert region is None or len(region) == 2
