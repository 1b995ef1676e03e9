"""One phone has one E.164: every country's examples, in every spelling."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from referral.core import phone, phone_text
from referral.core.errors import InvalidPhone, Refusal, UnsupportedPhone
from referral.core.phone import PhoneRules

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
ANYWHERE = PhoneRules()
# In BR, CO, KH, AU and ID, 00 with their own country code is the prefix of a carrier
PHONE_RULES = [
    PhoneRules(default_region=each) for each in (None, "BR", "CO", "KH", "AU", "ID", "US", "DE")
]
KINDS = (
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
    PhoneNumberType.VOIP,
)
# The 0 of Italy and Ascension is not a trunk prefix: with it, these are landline numbers
VALID_WITH_A_ZERO = {"+247040123", "+3903123456789", "+3905512345678"}

no_deadline = settings(deadline=None)


def examples(region: str) -> Iterator[phonenumbers.PhoneNumber]:
    """Yield the example of each kind that can receive text messages."""
    for kind in KINDS:
        number = phonenumbers.example_number_for_type(region, kind)
        if number is not None and phonenumbers.number_type(number) in KINDS:
            yield number


def in_digits_from(zero: str) -> Callable[[str], str]:
    return lambda text: "".join(chr(ord(zero) + int(c)) if c.isdigit() else c for c in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "tel:": "tel:{}".format,
    "TEL: in brackets": "<TEL: {}>".format,
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if c != " " else "\u3000" for c in text
    ),
    "Arabic-Indic digits": in_digits_from("\u0660"),
    "Persian digits": in_digits_from("\u06f0"),
    "Devanagari digits": in_digits_from("\u0966"),
    "mathematical digits": in_digits_from("\U0001d7ec"),
    "superscripts": lambda text: text.translate(
        str.maketrans("0123456789+", "\u2070\xb9\xb2\xb3\u2074\u2075\u2076\u2077\u2078\u2079\u207a")
    ),
    "minus signs": lambda text: text.replace(" ", "\u2212"),
    "dashes": lambda text: text.replace(" ", "\u2014").replace("-", "\u2010"),
    "dots": lambda text: text.replace(" ", ".").replace("-", "\xb7"),
    "slashes": lambda text: text.replace(" ", "/"),
    "tildes": lambda text: text.replace(" ", "~").replace("-", "\uff5e"),
    "square brackets": lambda text: text.replace(" ", " [", 1).replace("-", "]", 1),
    "direction marks": "\u202a{}\u202c".format,
    "isolates and a mark": "\u2066\u200e{}\u2069".format,
    "invisible characters": lambda text: text.replace(" ", "\u2060\u034f\u3164\ufe0f\u2800"),
    "spaces of all kinds": lambda text: "\ufeff" + text.replace(" ", "\xa0\u2009\u3000\u202f"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_every_spelling_gives_the_same_phone(region: str) -> None:
    own = PhoneRules(default_region=region)
    for number in examples(region):
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        form = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
        national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        bare = phonenumbers.national_significant_number(number)
        for name, respell in SPELLINGS.items():
            for rules in (ANYWHERE, own):
                assert phone.parse(respell(form), rules) == e164, name
                assert phone.parse(respell(f"00 {form[1:]}"), rules) == e164, name
            assert phone.parse(respell(national), own) == e164, name
        for rules in (*PHONE_RULES, own):
            assert phone.parse(e164, rules) == e164
            assert phone.parse(f"00 {form[1:]}", rules) == e164
            if f"+{number.country_code}0{bare}" not in VALID_WITH_A_ZERO:
                assert phone.parse(f"+{number.country_code} (0) {bare}", rules) == e164
                assert phone.parse(f"+{number.country_code} 0 {bare}", rules) == e164
        assert phone.parse(bare, own) == e164


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        # Each was once parsed as somebody else's number or as a second account, or was refused
        ("00 55 51 99912-3456", "BR", "+5551999123456"),
        ("00 57 321 123 4567", "CO", "+573211234567"),
        ("00 61 412 345 678", "AU", "+61412345678"),
        ("00 62 812 345 678", "ID", "+62812345678"),
        ("0011 49 1512 3456789", "AU", "+4915123456789"),
        ("00 7 999 123-45-67", None, "+79991234567"),
        ("00 44 (0) 7400 123456", None, "+447400123456"),
        ("+48 0 512 345 678", None, "+48512345678"),
        ("0 512 345 678", "PL", "+48512345678"),
        ("+44 (0) 7400 123456", None, "+447400123456"),
        ("+49 00 1512 3456789", None, "+4915123456789"),
        ("+49 0151 23456789", None, "+4915123456789"),
        ("+225 07 01 23 45 67", None, "+2250701234567"),  # its 0 is not a trunk prefix
        # Argentina: codes can be sent only to mobiles, and people leave out their 9
        ("+54 11 2345-6789", None, "+5491123456789"),
        ("+54 9 11 2345-6789", None, "+5491123456789"),
        ("+54 11 15 2345-6789", None, "+5491123456789"),
        ("+54 011 15 2345-6789", None, "+5491123456789"),
        ("+54 2966 41-2345", None, "+5492966412345"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("11 2345-6789", "AR", "+5491123456789"),
        ("0054 11 2345-6789", "AR", "+5491123456789"),
        # Mexico abolished its mobile prefixes
        ("+52 1 55 1234 5678", None, "+525512345678"),
        ("+52 55 1234 5678", None, "+525512345678"),
        ("0052 1 55 1234 5678", None, "+525512345678"),
        ("044 55 1234 5678", "MX", "+525512345678"),
        ("045 55 1234 5678", "MX", "+525512345678"),
        ("01 55 1234 5678", "MX", "+525512345678"),
    ],
)
def test_national_habits(text: str, region: str | None, e164: str) -> None:
    assert phone.parse(text, PhoneRules(default_region=region)) == e164


@pytest.mark.parametrize(
    "text", ["+54 800 123 4567", "+54 9 11 15 2345-6789", "+52 1 800 123 4567"]
)
def test_other_numbers_are_not_turned_into_mobiles(text: str) -> None:
    with pytest.raises((InvalidPhone, UnsupportedPhone)):
        phone.parse(text, ANYWHERE)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("+49 00 1512 3456789", {"+49015123456789", "+4915123456789", "+490015123456789"}),
        ("+54 11 2345-6789", {"+541123456789", "+5491123456789"}),
        ("no phone", set()),
    ],
)
def test_spellings_stored_by_earlier_releases(text: str, stored: set[str]) -> None:
    assert phone.spellings(text, ANYWHERE) == stored


numbers = st.builds(
    lambda plus, code, prefix, rest: f"{plus}{code}{prefix}{rest}",
    st.sampled_from(["+", "00", "", "0", "8", "011"]),
    st.sampled_from(["", *map(str, sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))]),
    st.sampled_from(["", "0", "00", "000", "1", "8", "9", "044", "15"]),
    st.from_regex(r"[0-9]{4,12}", fullmatch=True),
)
real = st.sampled_from([each for region in REGIONS for each in examples(region)])
near_numbers = st.builds(
    lambda number, prefix, end: (
        f"+{number.country_code}{prefix}"
        f"{phonenumbers.national_significant_number(number)[: -len(end) or None]}{end}"
    ),
    real,
    st.sampled_from(["", "0", "00", "1", "8", "9", "15"]),
    st.from_regex(r"[0-9]{0,6}", fullmatch=True),
)


@settings(deadline=None, max_examples=1000)
@given(numbers | near_numbers | st.text(), st.sampled_from([None, *REGIONS]))
def test_parsing_the_result_again_changes_nothing(text: str, region: str | None) -> None:
    try:
        e164 = phone.parse(text, PhoneRules(default_region=region))
    except Refusal:
        return
    for again in (region, None, "BR", "US"):
        assert phone.parse(e164, PhoneRules(default_region=again)) == e164
    assert e164 in phone.spellings(text, PhoneRules(default_region=region))


@no_deadline
@given(st.text(min_size=1, max_size=64))
def test_any_text_becomes_ascii_digits_or_none(text: str) -> None:
    bare = phone_text.normalize(text)
    if bare is not None:
        assert bare.isascii()
        assert bare.lstrip("+").isdigit()


@pytest.mark.parametrize("letter", ["a\u0315\u0300", "\ufdfa", "\u0f77", "9"])
def test_long_text_is_refused_fast(letter: str) -> None:
    """Normalising alternating combining marks is quadratic in their number."""
    text = letter * (65_536 // len(letter))
    began = time.process_time()
    for _ in range(1000):
        with pytest.raises(InvalidPhone):
            phone.parse(text, ANYWHERE)
    assert time.process_time() - began < 1
