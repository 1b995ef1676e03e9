"""The names of countries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module


def name(region: str, language: str) -> str:
    """Return the name of a region (ISO 3166-1), and any other text, such as +7, unchanged.

    language: the tag of one that has names: `pt-BR`.
    """
    return _names(language).get(region, region)


@cache
def _names(language: str) -> Mapping[str, str]:
    module = import_module(f"referral.core.country_names.{language.replace('-', '_').lower()}")
    return {line[:2]: line[3:] for line in module.NAMES.splitlines()}
