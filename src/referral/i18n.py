"""The languages of messages and pages."""

from __future__ import annotations

import gettext
import re
from functools import cache
from pathlib import Path

DOMAIN = "referral"
LOCALES = Path(__file__).parent / "locales"
NAMES = {"en": "English", "ru": "Русский"}
LANGUAGES = tuple(NAMES)
DEFAULT = LANGUAGES[0]

# Browsers send under a hundred characters
_MAX_HEADER_LENGTH = 1000
# One item of Accept-Language (RFC 9110, section 12.5.4). Of its tag only the language counts; some
# clients send the name of a locale, such as ru_RU.UTF-8.
_ITEM = re.compile(
    r"\s*([a-z]{1,8}|\*)(?:[-_][a-z0-9_.@-]*)?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?",
    re.IGNORECASE,
)


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Return the translations into one of LANGUAGES."""
    return gettext.translation(DOMAIN, LOCALES, languages=[language])


def choose(accept_language: str) -> str:
    """Return the language of LANGUAGES that the header prefers, or the default."""
    found = [
        item
        for item in map(_ITEM.fullmatch, accept_language[:_MAX_HEADER_LENGTH].split(","))
        if item is not None
    ]
    wanted = [(float(item[2] or 1), item[1].lower()) for item in found]
    refused = {language for weight, language in wanted if weight == 0}
    # sorted() is stable: equal weights stay in the order of the header
    for weight, language in sorted(wanted, key=lambda pair: -pair[0]):
        if weight > 0 and language in LANGUAGES:
            return language
        if weight > 0 and language == "*":
            return next((each for each in LANGUAGES if each not in refused), DEFAULT)
    return DEFAULT
