"""Phones: what people type in, E.164 out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import (
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
)

from referral.core import countries, phone_text
from referral.core.errors import InvalidPhone, UnsupportedPhone

_SHORTEST = 3
MAX_LENGTH = 16  # + and 15 digits: ITU-T E.164, section 6

# Kinds that a text message reaches
_REACHED_KINDS = {
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
}
# New ranges open before the metadata knows them
_SERVED_KINDS = {*_REACHED_KINDS, PhoneNumberType.UNKNOWN}
# What libphonenumber calls the codes of no country: satellite, premium and toll-free networks.
_NO_COUNTRY = "001"

# https://github.com/google/libphonenumber/blob/master/FAQ.md#mx_and_ar: without 9 after the country
# code, an Argentinian mobile looks like a fixed line; Mexico gave its prefixes of mobiles up.
_ARGENTINA, _MEXICO = 54, 52
_MEXICAN = re.compile(r"(?:0?[12]|04[45])([2-9][0-9]{9})")
_MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRules:
    """Which phones are served. Regions are two-letter codes (ISO 3166-1)."""

    default_region: str | None = None
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    @property
    def unrestricted(self) -> PhoneRules:
        """These rules without their lists: for phones that are kept already."""
        return PhoneRules(default_region=self.default_region)

    def serves(self, regions: set[str]) -> bool:
        """Whether phones of a region are served, or of one that shares a calling code."""
        return not regions & self.denied and (not self.allowed or bool(regions & self.allowed))


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCode:
    """The code of a test phone, for the reviewers of app stores. Good through `until`, UTC."""

    code: str
    until: date


def parse(text: str, rules: PhoneRules) -> str:
    """Read a phone in whatever way it is spelt: its E.164 (`+79991234567`).

    Reading the result again gives the same. Raises InvalidPhone if it is not a possible number,
    UnsupportedPhone if its kind or country is not served.
    """
    bare = phone_text.normalize(text)
    if bare is None or len(bare) < _SHORTEST:
        raise _invalid(rules, reason="not digits")
    found, e164 = _settle(bare, rules)
    regions = {found.region} if found.region is not None else _regions(found.number)
    if _NO_COUNTRY in regions:
        raise _unsupported(rules, reason="no country")
    if found.kind not in _SERVED_KINDS:
        raise _unsupported(rules, reason="kind")
    if not rules.serves(regions):
        raise _unsupported(
            rules,
            reason="country",
            country=found.region or f"+{found.number.country_code}",
        )
    return e164


def spellings(text: str, rules: PhoneRules) -> set[str]:
    """Every E.164 under which a text may be kept: as it is read, and as earlier releases read it.

    Those took the parser's first result, which parsed again may give another number.
    """
    bare, region, found = phone_text.normalize(text), rules.default_region, set()
    with suppress(InvalidPhone, UnsupportedPhone):
        found.add(parse(text, rules.unrestricted))
    while bare is not None and bare not in found:
        if bare.startswith("+"):
            found.add(bare)
        try:
            number = _parse(bare, None if bare.startswith("+") else region)
        except NumberParseException:
            break
        bare = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return found


def digits(text: str) -> str | None:
    """A part of a phone as E.164 spells it, with + its beginning; None where it can be none."""
    bare = phone_text.normalize(text)
    return bare if bare is not None and len(bare) <= MAX_LENGTH else None


@lru_cache(maxsize=1024)
def country(phone: str) -> str:
    """The two-letter region of a phone in E.164; the largest where several share its numbers."""
    number = _parse(phone, None)
    region: str = phonenumbers.region_code_for_number(
        number
    ) or phonenumbers.region_code_for_country_code(number.country_code or 0)
    return region


@lru_cache(maxsize=256)
def example(rules: PhoneRules) -> str:
    """A mobile phone that is served: without its country's code if it is read without one."""
    region = _example_region(rules)
    form = PhoneNumberFormat
    return _example(region, form.NATIONAL if region == rules.default_region else form.INTERNATIONAL)


def mask(phone: str) -> str:
    """The phone as a log may show it: `+79*******67`."""
    return phone[:3] + "*" * (len(phone) - 5) + phone[-2:]


class _Found(NamedTuple):
    """A number, the region that it belongs to if the metadata can tell, and its kind."""

    number: PhoneNumber
    region: str | None
    kind: int


def _settle(bare: str, rules: PhoneRules) -> tuple[_Found, str]:
    """Parse until parsing the result changes nothing.

    In 88 regions, libphonenumber parses its own result as another number: `+49 00 1512...` as
    `+490151...`, and that as `+49151...`.
    """
    for _ in range(_MOST_ROUNDS):
        found = _find(bare, rules)
        e164 = phonenumbers.format_number(found.number, PhoneNumberFormat.E164)
        reason = phonenumbers.is_possible_number_with_reason(found.number)
        if reason != phonenumbers.ValidationResult.IS_POSSIBLE or len(e164) > MAX_LENGTH:
            raise _invalid(rules, reason="not possible")
        if e164 == bare:
            return found, e164
        bare = e164
    raise _invalid(rules, reason="every reading gives another number")


def _find(bare: str, rules: PhoneRules) -> _Found:
    if bare.startswith("00"):
        # Before the region's rules: in Brazil, Colombia and others, 00 and the own country's code
        # are the prefix of a carrier
        try:
            found = _mend(_parse("+" + bare[2:], None))
        except NumberParseException:
            pass
        else:
            if found.kind != PhoneNumberType.UNKNOWN:
                return found
    has_code = bare.startswith("+")
    if not has_code and rules.default_region is None:
        raise _invalid(rules, "The country's code is missing.", reason="no country code")
    try:
        return _mend(_parse(bare, None if has_code else rules.default_region))
    except NumberParseException as error:
        raise _invalid(rules, reason=f"parse: {error.error_type}") from None


def _mend(number: PhoneNumber) -> _Found:
    """Find the number that is meant, which can be reached. Raises NumberParseException."""
    found = _identify(number)
    if found.kind in {PhoneNumberType.UNKNOWN, PhoneNumberType.FIXED_LINE}:
        for candidate in _meant(found):
            other = _identify(_parse(f"+{number.country_code}{candidate}", None))
            if other.kind in _REACHED_KINDS:
                return other
    return found


def _meant(found: _Found) -> Iterator[str]:
    """What may be meant by a national number that is invalid or of a fixed line."""
    code = found.number.country_code
    national = phonenumbers.national_significant_number(found.number)
    if code == _ARGENTINA:
        yield "9" + national
    if found.kind == PhoneNumberType.FIXED_LINE:
        return
    if national.startswith("0"):  # the prefix of calls within the country
        yield national[1:]
    if code == _MEXICO and (former := _MEXICAN.fullmatch(national)):
        yield former[1]


def _identify(number: PhoneNumber) -> _Found:
    region = phonenumbers.region_code_for_number(number)
    # A number of no region is of no kind, and it takes long to find out
    kind = PhoneNumberType.UNKNOWN if region is None else phonenumbers.number_type(number)
    return _Found(number, region, kind)


# For the moment between a phone's being read and its country's being asked for
_parse = lru_cache(maxsize=256)(phonenumbers.parse)


def _regions(number: PhoneNumber) -> set[str]:
    """All regions that share the number's country code, where the number does not tell."""
    return set(phonenumbers.region_codes_for_country_code(number.country_code or 0))


def _invalid(
    rules: PhoneRules, wrong: str = "This is not a possible phone number.", *, reason: str
) -> InvalidPhone:
    advice = f"Write it with + and the country's code, such as {_example_with_code(rules)}."
    return InvalidPhone(f"{wrong} {advice}", reason=reason)


def _unsupported(rules: PhoneRules, *, reason: str, country: str = "") -> UnsupportedPhone:
    what = "this kind of number"
    if country:
        what = f"phones of this country: {countries.name(country, 'en')}"
    return UnsupportedPhone(
        f"This service does not send codes to {what}. "
        f"Use a mobile phone such as {_example_with_code(rules)}.",
        reason=reason,
        country=country,
    )


@lru_cache(maxsize=256)
def _example_with_code(rules: PhoneRules) -> str:
    return _example(_example_region(rules), PhoneNumberFormat.INTERNATIONAL)


def _example(region: str, form: int) -> str:
    number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    return phonenumbers.format_number(number, form) if number else ""


def _example_region(rules: PhoneRules) -> str:
    """The default region, else the first one that is served and has mobile phones."""
    regions = [rules.default_region, *sorted(rules.allowed), "US", *sorted(SUPPORTED_REGIONS)]
    for region in filter(None, regions):
        has_mobiles = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if has_mobiles and rules.serves({region}):
            return region
    return "US"
