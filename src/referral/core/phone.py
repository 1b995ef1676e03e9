"""Phones: what people type in, E.164 out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType

from referral.core.errors import InvalidPhone, UnsupportedPhone

# The parser also takes letters, NUL and other scripts' digits, and drops extensions without a
# word, so the text is checked first. Dashes, spaces and direction marks come with numbers that
# are pasted from contacts.
_DRESSING = re.compile(
    r"[\s().\-/\u00ad\u200b-\u200f\u2010-\u2015\u202a-\u202e\u2060-\u2069\ufeff]"
)
_DIGITS = re.compile(r"\+?[0-9]{3,20}")
_LONGEST_TEXT = 64
LONGEST = 16  # + and 15 digits: ITU-T E.164, section 6

# Kinds that a text message reaches. UNKNOWN stays in: new ranges open before the metadata knows.
_SERVED_KINDS = {
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
    PhoneNumberType.UNKNOWN,
}
# What libphonenumber calls the codes of no country: satellite, premium and toll-free networks.
_NO_COUNTRY = "001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which phones are served. Regions are two-letter codes (ISO 3166-1)."""

    default_region: str | None = None
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCode:
    """The code of a test phone, for the reviewers of app stores. Good through `until`, UTC."""

    code: str
    until: date


def read(text: str, rules: Rules) -> str:
    """The phone in E.164 (`+79991234567`).

    Raises InvalidPhone when it is not a possible number, UnsupportedPhone when its kind or
    country is not served.
    """
    bare = _DRESSING.sub("", text)
    if len(text) > _LONGEST_TEXT or not _DIGITS.fullmatch(bare):
        raise InvalidPhone(reason="not digits")
    if not bare.startswith("+") and rules.default_region is None:
        raise InvalidPhone(
            "Write the phone with + and the country's code, such as +7 999 123-45-67.",
            reason="no country code",
        )
    try:
        number = _parse(bare, None if bare.startswith("+") else rules.default_region)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhone(reason=f"parse: {error.error_type}") from None
    region = phonenumbers.region_code_for_number(number)
    regions = {region} if region is not None else _regions(number)
    if _NO_COUNTRY in regions:
        raise UnsupportedPhone(reason="no country")
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE or len(e164) > LONGEST:
        raise InvalidPhone(reason="not possible")
    # A number of no region is of no kind, and both take long to find out
    if region is not None and phonenumbers.number_type(number) not in _SERVED_KINDS:
        raise UnsupportedPhone(reason="kind")
    if regions & rules.denied or (rules.allowed and not regions <= rules.allowed):
        raise UnsupportedPhone(reason="country")
    return e164


def digits(text: str) -> str | None:
    """A part of a phone as E.164 spells it, with + its beginning; None where it can be none."""
    bare = _DRESSING.sub("", text)
    return bare if re.fullmatch(r"\+?[0-9]{1,15}", bare) else None


@lru_cache(maxsize=1024)
def country(phone: str) -> str:
    """The two-letter region of a phone in E.164; the largest where several share its numbers."""
    number = _parse(phone, None)
    region: str = phonenumbers.region_code_for_number(
        number
    ) or phonenumbers.region_code_for_country_code(number.country_code or 0)
    return region


def spell(phone: str) -> str:
    """The phone as people of its country write it for others: `+7 999 123-45-67`.

    What is none, such as a browser brings back from a cookie that somebody wrote, stays as it is.
    """
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def example(region: str | None) -> str:
    """How a mobile phone of a region is spelt; of no region, one that shows the + at least."""
    number = phonenumbers.example_number_for_type(region or "US", PhoneNumberType.MOBILE)
    if number is None:  # an island without mobile numbers of its own
        return ""
    form = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, form.NATIONAL if region else form.INTERNATIONAL)


def as_typed(text: str, region: str | None) -> tuple[str, str | None]:
    """A phone that is still being typed, in its country's form, and the country if it is known."""
    bare = _DRESSING.sub("", text)
    if not re.fullmatch(r"\+?[0-9]{1,20}", bare):
        return "", None
    formatter = phonenumbers.AsYouTypeFormatter(region or "ZZ")
    spelt = ""
    for character in bare:
        spelt = formatter.input_digit(character)
    try:
        number = phonenumbers.parse(bare, region)
    except phonenumbers.NumberParseException:
        return spelt, None
    return spelt, phonenumbers.region_code_for_number(number)


def mask(phone: str) -> str:
    """The phone as a log may show it: `+79*******67`."""
    return phone[:3] + "*" * (len(phone) - 5) + phone[-2:]


# For the moment between a phone's being read and its country's being asked for
_parse = lru_cache(maxsize=256)(phonenumbers.parse)


def _regions(number: phonenumbers.PhoneNumber) -> set[str]:
    """All regions that share the number's country code, where the number does not tell."""
    return set(phonenumbers.region_codes_for_country_code(number.country_code or 0))
