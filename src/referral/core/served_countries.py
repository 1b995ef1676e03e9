"""The countries whose phones can get codes."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

from referral.core import collation, countries
from referral.core import phone as phones
from referral.core.errors import InvalidPhone, UnsupportedPhone
from referral.core.phone import PhoneRules


@lru_cache(maxsize=64)
def regions(rules: PhoneRules) -> frozenset[str]:
    """Return the regions (ISO 3166-1) that have mobile numbers and are served."""
    return frozenset(
        region
        for region in phonenumbers.SUPPORTED_REGIONS
        if rules.serves({region})
        and phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    )


def in_order(rules: PhoneRules, language: str) -> list[tuple[str, str]]:
    """Return the served regions with their names, in the order of the language."""
    named = [(region, countries.name(region, language)) for region in regions(rules)]
    return sorted(named, key=lambda pair: collation.key(pair[1], language))


def calling_code(region: str) -> str:
    """Return the calling code of a region with its plus sign: `+7`."""
    return f"+{phonenumbers.country_code_for_region(region)}"


def region_of(text: str, rules: PhoneRules) -> str | None:
    """Return the served region of a phone with a country code; None if it has or is none."""
    try:
        phone = phones.parse(text, PhoneRules())
    except (InvalidPhone, UnsupportedPhone):
        return None
    region = phones.country(phone)
    return region if region in regions(rules) else None
