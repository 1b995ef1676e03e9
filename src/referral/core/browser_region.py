"""Infer the user's country from the languages of the browser."""

from __future__ import annotations

import re
from collections.abc import Iterable

from phonenumbers import SUPPORTED_REGIONS

# Language, script, region (RFC 5646, section 2.1)
_TAG = re.compile(r"([a-z]{2,3})(?:-[a-z]{4})?(?:-([a-z]{2}|[0-9]{3}))?(?:-.*)?")
# The region for a language tag without one: only for languages whose speakers nearly all have
# phones of one country, so not for English, Spanish, Portuguese, French, German or Arabic
_LIKELY = {
    "be": "BY", "bg": "BG", "cs": "CZ", "da": "DK", "et": "EE", "fi": "FI", "he": "IL", "hu": "HU",
    "hy": "AM", "id": "ID", "is": "IS", "it": "IT", "ja": "JP", "ka": "GE", "kk": "KZ", "ko": "KR",
    "ky": "KG", "lt": "LT", "lv": "LV", "mn": "MN", "nb": "NO", "pl": "PL", "ru": "RU", "sk": "SK",
    "sl": "SI", "tg": "TJ", "th": "TH", "tk": "TM", "tr": "TR", "uk": "UA", "uz": "UZ", "vi": "VN",
}  # fmt: skip


def choose(wanted: Iterable[tuple[float, str]]) -> str | None:
    """Return the region (ISO 3166-1) of the first language that has one, or None.

    wanted: weights and language tags in lower case, the most preferred first.
    """
    for weight, language in wanted:
        if weight > 0 and (tag := _TAG.fullmatch(language)):
            region = (tag[2] or _LIKELY.get(tag[1], "")).upper()
            if region in SUPPORTED_REGIONS:
                return region
    return None
