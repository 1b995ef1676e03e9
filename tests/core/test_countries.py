"""The names of countries."""

from __future__ import annotations

import pytest

import countries as writer
from referral.core import countries


@pytest.mark.parametrize(
    ("region", "language", "name"),
    [
        ("GB", "en", "United Kingdom"),
        ("GB", "ru", "Великобритания"),
        ("XK", "en", "Kosovo"),
        ("+7", "ru", "+7"),
    ],
)
def test_name_of_a_country_by_language(region: str, language: str, name: str) -> None:
    assert countries.name(region, language) == name


def test_names_file_is_up_to_date() -> None:
    assert writer.FILE.read_text(encoding="utf-8") == writer.module(), "run `make messages`"
