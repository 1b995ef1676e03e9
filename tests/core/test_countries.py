"""The names of countries."""

from __future__ import annotations

import pytest

import countries as writer
from referral import i18n
from referral.core import countries


@pytest.mark.parametrize(
    ("region", "language", "name"),
    [
        ("GB", "en", "United Kingdom"),
        ("GB", "ru", "Великобритания"),
        ("BR", "pt-BR", "Brasil"),
        ("XK", "en", "Kosovo"),
        ("+7", "ru", "+7"),
    ],
)
def test_name_of_a_country_by_language(region: str, language: str, name: str) -> None:
    assert countries.name(region, language) == name


@pytest.mark.parametrize("tag", i18n.PREPARED)
def test_names_file_is_up_to_date(tag: str) -> None:
    assert writer.file(tag).read_text(encoding="utf-8") == writer.module(tag), "run `make messages`"
