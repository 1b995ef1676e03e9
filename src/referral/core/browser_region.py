"""Infer the user's country from the languages of the browser."""

from __future__ import annotations

import re

from phonenumbers import SUPPORTED_REGIONS

_MAX_TAGS = 20
# One item of Accept-Language (RFC 9110, section 12.5.4): language, script, region (RFC 5646,
# section 2.1), also joined by _, as in the names of locales that some clients send
_TAG = re.compile(
    r"\s*(?P<language>[a-z]{2,3})(?:[-_][a-z]{4})?(?:[-_](?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?:[-_][a-z0-9_-]*)?\s*(?:;\s*q=(?P<weight>[01](?:\.[0-9]{0,3})?)\s*)?",
    re.IGNORECASE,
)
# The region for a language tag without one: only for languages whose speakers nearly all have
# phones of one country, so not for English, Spanish, Portuguese, French, German or Arabic
_LIKELY = {
    "be": "BY", "bg": "BG", "cs": "CZ", "da": "DK", "et": "EE", "fi": "FI", "he": "IL", "hu": "HU",
    "hy": "AM", "id": "ID", "is": "IS", "it": "IT", "ja": "JP", "ka": "GE", "kk": "KZ", "ko": "KR",
    "ky": "KG", "lt": "LT", "lv": "LV", "mn": "MN", "nb": "NO", "pl": "PL", "ru": "RU", "sk": "SK",
    "sl": "SI", "tg": "TJ", "th": "TH", "tk": "TM", "tr": "TR", "uk": "UA", "uz": "UZ", "vi": "VN",
}  # fmt: skip


def parse(accept_language: str) -> str | None:
    """Return the region (ISO 3166-1) of the most preferred language that has one, or None."""
    tags = map(_TAG.fullmatch, accept_language.split(",")[:_MAX_TAGS])
    wanted = [(float(tag["weight"] or 1), tag) for tag in tags if tag]
    # sorted() is stable: equal weights stay in the order of the header
    for weight, tag in sorted(wanted, key=lambda pair: -pair[0]):
        region = (tag["region"] or _LIKELY.get(tag["language"].lower(), "")).upper()
        if weight > 0 and region in SUPPORTED_REGIONS:
            return region
    return None
