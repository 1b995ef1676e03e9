"""Parse typed phones into E.164 numbers.

One phone has one spelling: parsing the result again gives the same result, for every text and every
region. libphonenumber does not guarantee that, and misreads some common spellings of mobile
numbers, so its result is corrected and parsed again until it no longer changes.
"""

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
    COUNTRY_CODE_TO_REGION_CODE,
    SUPPORTED_REGIONS,
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
)

from referral.core import countries, phone_text
from referral.core.errors import InvalidPhone, UnsupportedPhone

_MIN_LENGTH = 3
MAX_LENGTH = 16  # + and 15 digits: ITU-T E.164, section 6

# Kinds of numbers that can receive text messages
_MOBILE_KINDS = {
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
}
# UNKNOWN too, because ranges of numbers open before the metadata has them
_SERVED_KINDS = {*_MOBILE_KINDS, PhoneNumberType.UNKNOWN}
# The region of calling codes without a country: satellite, premium and toll-free networks
_NO_COUNTRY = "001"

# https://github.com/google/libphonenumber/blob/master/FAQ.md#mx_and_ar: without a 9 after the
# country code, an Argentinian mobile looks like a fixed line; Mexico abolished its mobile prefixes.
_ARGENTINA, _MEXICO = 54, 52
_MEXICAN = re.compile(r"(?:0?[12]|04[45])([2-9][0-9]{9})")
_MAX_ROUNDS = 5
_CODES = frozenset(COUNTRY_CODE_TO_REGION_CODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRules:
    """The phones that are served. Regions are two-letter codes (ISO 3166-1)."""

    default_region: str | None = None
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    @property
    def unrestricted(self) -> PhoneRules:
        """The same rules without the country lists, for phones that are already stored."""
        return PhoneRules(default_region=self.default_region)

    def serves(self, regions: set[str]) -> bool:
        """Return whether a phone is served. regions: its region, or all that it may belong to."""
        return not regions & self.denied and (not self.allowed or bool(regions & self.allowed))


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCode:
    """The fixed code of a test phone, for reviewers of app stores. Valid through `until` (UTC)."""

    code: str
    until: date


def parse(text: str, rules: PhoneRules) -> str:
    """Parse a phone in any common spelling and return its E.164 (`+79991234567`).

    Raises InvalidPhone if it is not a possible number, UnsupportedPhone if its kind or country is
    not served.
    """
    bare = phone_text.normalize(text)
    if bare is None or len(bare) < _MIN_LENGTH:
        raise _invalid(rules, reason="not digits")
    found, e164 = _parse_until_stable(bare, rules)
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
    """Return every E.164 number under which a phone may be stored, also by earlier releases.

    Earlier releases took the first result of the parser, which may change when parsed again.
    """
    bare, region, found = phone_text.normalize(text), rules.default_region, set()
    with suppress(InvalidPhone, UnsupportedPhone):
        found.add(parse(text, rules.unrestricted))
    while bare is not None and bare not in found:
        if bare.startswith("+"):
            found.add(bare)
        try:
            number = _parse_number(bare, None if bare.startswith("+") else region)
        except NumberParseException:
            break
        bare = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return found


def digits(text: str) -> str | None:
    """Return a part of an E.164 number, with + if it is the beginning; None if it cannot be one."""
    bare = phone_text.normalize(text)
    return bare if bare is not None and len(bare) <= MAX_LENGTH else None


@lru_cache(maxsize=1024)
def country(phone: str) -> str:
    """Return the two-letter region of an E.164 number, or the main one of its calling code."""
    number = _parse_number(phone, None)
    region: str = phonenumbers.region_code_for_number(
        number
    ) or phonenumbers.region_code_for_country_code(number.country_code or 0)
    return region


def has_country(phone: str) -> bool:
    """Return whether `country` can tell the region of + and digits."""
    try:
        country(phone)
    except NumberParseException:
        return False
    return True


def example(rules: PhoneRules) -> str:
    """Return a phone in E.164 of which a code could be sent to a person with these rules."""
    return re.sub(r"[^+0-9]", "", _international_example(rules))


def mask(phone: str) -> str:
    """Hide all but the country code and the last two digits: `+7********67`.

    The result has the length of the number. Of a number without a known country code, only the +
    and the last two digits are left.
    """
    digits = phone.removeprefix("+")
    # At most one prefix matches: no calling code begins with another one (ITU-T E.164)
    code = next((n for n in (1, 2, 3) if digits[:n].isdigit() and int(digits[:n]) in _CODES), 0)
    shown = len(phone) - len(digits) + code
    return phone[:shown] + "*" * (len(phone) - shown - 2) + phone[max(shown, len(phone) - 2) :]


class _Parsed(NamedTuple):
    """A number, its region (None if the metadata cannot tell) and its kind."""

    number: PhoneNumber
    region: str | None
    kind: int


def _parse_until_stable(bare: str, rules: PhoneRules) -> tuple[_Parsed, str]:
    """Parse repeatedly until the result no longer changes. Return it and its E.164 form.

    In 88 regions, libphonenumber parses its own result as another number: `+49 00 1512...` gives
    `+490151...`, and that gives `+49151...`.
    """
    for _ in range(_MAX_ROUNDS):
        found = _parse_once(bare, rules)
        e164 = phonenumbers.format_number(found.number, PhoneNumberFormat.E164)
        if not _is_possible(found) or len(e164) > MAX_LENGTH:
            raise _invalid(rules, reason="not possible")
        if e164 == bare:
            return found, e164
        bare = e164
    raise _invalid(rules, reason="the result keeps changing")


def _is_possible(found: _Parsed) -> bool:
    """Return whether the number has a possible length.

    One of no known kind, such as one in a range that the metadata does not have yet, must be as
    long as its country's mobile numbers: some countries have much shorter fixed lines, and then
    a mobile number with a digit missing would look possible.
    """
    result = phonenumbers.is_possible_number_with_reason(found.number)
    if (
        result == phonenumbers.ValidationResult.IS_POSSIBLE
        and found.kind == PhoneNumberType.UNKNOWN
    ):
        result = phonenumbers.is_possible_number_for_type_with_reason(
            found.number, PhoneNumberType.MOBILE
        )
    return result == phonenumbers.ValidationResult.IS_POSSIBLE


def _parse_once(bare: str, rules: PhoneRules) -> _Parsed:
    if bare.startswith("00"):
        # Tried before the region's dialling rules: in Brazil, Colombia and others, 00 with their
        # own country code is the prefix of a carrier
        try:
            found = _correct(_parse_number("+" + bare[2:], None))
        except NumberParseException:
            pass
        else:
            if found.kind != PhoneNumberType.UNKNOWN:
                return found
    has_code = bare.startswith("+")
    if not has_code and rules.default_region is None:
        raise _invalid(rules, "The country code is missing.", reason="no country code")
    try:
        return _correct(_parse_number(bare, None if has_code else rules.default_region))
    except NumberParseException as error:
        raise _invalid(rules, reason=f"parse: {error.error_type}") from None


def _correct(number: PhoneNumber) -> _Parsed:
    """Return the mobile number that was probably meant, or the number itself.

    Raises NumberParseException.
    """
    found = _identify(number)
    if found.kind in {PhoneNumberType.UNKNOWN, PhoneNumberType.FIXED_LINE}:
        for candidate in _corrections(found):
            other = _identify(_parse_number(f"+{number.country_code}{candidate}", None))
            if other.kind in _MOBILE_KINDS:
                return other
    return found


def _corrections(found: _Parsed) -> Iterator[str]:
    """Yield national numbers of mobiles that an invalid or fixed-line number may stand for."""
    code = found.number.country_code
    national = phonenumbers.national_significant_number(found.number)
    if code == _ARGENTINA:
        yield "9" + national
    if found.kind == PhoneNumberType.FIXED_LINE:
        return
    if national.startswith("0"):  # the trunk prefix
        yield national[1:]
    if code == _MEXICO and (former := _MEXICAN.fullmatch(national)):
        yield former[1]


def _identify(number: PhoneNumber) -> _Parsed:
    region = phonenumbers.region_code_for_number(number)
    # number_type() would take long to find that a number without a region has no kind
    kind = PhoneNumberType.UNKNOWN if region is None else phonenumbers.number_type(number)
    return _Parsed(number, region, kind)


# Cached because a request parses a phone and shortly afterwards asks for its country
_parse_number = lru_cache(maxsize=256)(phonenumbers.parse)


def _regions(number: PhoneNumber) -> set[str]:
    """Return all regions that share the number's country code."""
    return set(phonenumbers.region_codes_for_country_code(number.country_code or 0))


def _invalid(
    rules: PhoneRules, wrong: str = "This is not a possible phone number.", *, reason: str
) -> InvalidPhone:
    advice = f"Write it with + and the country code, such as {_international_example(rules)}."
    return InvalidPhone(f"{wrong} {advice}", reason=reason)


def _unsupported(rules: PhoneRules, *, reason: str, country: str = "") -> UnsupportedPhone:
    unsupported = f"country: {countries.name(country, 'en')}" if country else "kind of number"
    return UnsupportedPhone(
        f"This service does not send codes to this {unsupported}. "
        f"Use a mobile number such as {_international_example(rules)}.",
        reason=reason,
        country=country,
    )


@lru_cache(maxsize=256)
def _international_example(rules: PhoneRules) -> str:
    region = _example_region(rules)
    number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL) if number else ""


def _example_region(rules: PhoneRules) -> str:
    """Return the default region if it is served and has mobiles, else the first region that is."""
    regions = [rules.default_region, *sorted(rules.allowed), "US", *sorted(SUPPORTED_REGIONS)]
    for region in filter(None, regions):
        has_mobiles = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        if has_mobiles and rules.serves({region}):
            return region
    return "US"
