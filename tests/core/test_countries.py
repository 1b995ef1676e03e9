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
def test_a_country_has_a_name_in_every_language(region: str, language: str, name: str) -> None:
    assert countries.name(region, language) == name


def test_the_names_are_those_that_the_script_writes() -> None:
    assert writer.FILE.read_text(encoding="utf-8") == writer.module(), "run `make messages`"
