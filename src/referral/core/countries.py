"""The names of countries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from referral.core.country_names import LANGUAGES, NAMES


def name(region: str, language: str) -> str:
    """Return the name of a region (ISO 3166-1), and any other text, such as +7, unchanged."""
    return _names(language).get(region, region)


@cache
def _names(language: str) -> Mapping[str, str]:
    column = LANGUAGES.index(language) + 1
    return {line.split("|")[0]: line.split("|")[column] for line in NAMES.splitlines()}
