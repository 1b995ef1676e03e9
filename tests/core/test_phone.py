"""Phones: parsing, served countries, examples and masks."""

from __future__ import annotations

import re
from contextlib import suppress

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from referral.core import phone
from referral.core.errors import InvalidPhone, Refusal, UnsupportedPhone
from referral.core.phone import PhoneRules

ANYWHERE = PhoneRules()
# ITU-T E.164, section 6: at most 15 digits
E164 = re.compile(r"\+[1-9][0-9]{5,14}")
SEPARATORS = [
    *" .-()/\t\n",
    "\xa0",
    "\xad",
    "\u200b",
    "\u200e",
    "\u2011",
    "\u2013",
    "\u202c",
    "\ufeff",
]

no_deadline = settings(deadline=None)


@pytest.mark.parametrize(
    "text",
    [
        "+79991234567",
        "+7 999 123-45-67",
        "+7 (999) 123-45-67",
        "+7.999.123.45.67",
        "+7/999/1234567",
        " +7999 1234567 ",
        "+7\t9991234567\n",
        "+7\xa0999\xa0123\u201145\u201167",
        "\u202a+7 999 123-45-67\u202c",  # as iOS contacts give it
        "\u200e+7\u200b9991234567\ufeff",
        "(+7) 999 1234567",
        "+(7)(999)(123)(45)(67)",
    ],
)
def test_many_spellings_are_one_phone(text: str) -> None:
    assert phone.parse(text, ANYWHERE) == "+79991234567"


@no_deadline
@given(st.data())
def test_separators_change_nothing(data: st.DataObject) -> None:
    spelt = "".join(
        data.draw(st.sampled_from(["", "", *SEPARATORS])) + letter for letter in "+79991234567"
    )
    assert phone.parse(spelt, ANYWHERE) == "+79991234567"


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("+12532530000", "+12532530000"),
        ("+44 7400 123456", "+447400123456"),
        ("+44 (0) 7400 123456", "+447400123456"),
        ("+49 1512 3456789", "+4915123456789"),
        ("+39 312 345 6789", "+393123456789"),
        ("+86 131 2345 6789", "+8613123456789"),
        ("+91 81234 56789", "+918123456789"),
        ("+998 91 234 56 78", "+998912345678"),
        ("+247 40123", "+24740123"),
    ],
)
def test_phones_of_other_countries(text: str, e164: str) -> None:
    assert phone.parse(text, ANYWHERE) == e164


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "++79991234567",
        "+7+9991234567",
        "79991234567+",
        "+7 999 FLOWERS",
        "+7999123456O",
        "tel:tel:+79991234567",
        "+79991234567tel:",
        "sms:+79991234567",
        "tel:",
        "+7999123456\u4e03",  # seven, which is not a decimal digit
        "+7999123456\u2166",  # a Roman numeral
        "\0+79991234567",
        "+7999\x001234567",
        "+79991234567\0",
        "+79991234567 ext 5",
        "+79991234567 ext. 5",
        "+79991234567x5",
        "+79991234567#5",
        "+79991234567;ext=5",
        "+79991234567,5",
        "+79991234567*5",
        "+79991234567\u0434\u043e\u04315",
        "+7999123456\U0001f600",
        "\U0001f4de+79991234567",
        "+7\ufe0f\u20e39991234567",
        "+79991234567\ud800",
        "+79991234567;phone-context=+1",
        "+7 999 123-45-67, +7 999 123-45-68",
    ],
)
def test_anything_but_digits_is_invalid(text: str) -> None:
    with pytest.raises(InvalidPhone):
        phone.parse(text, ANYWHERE)


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_mobile_number_with_digits_missing_is_invalid(region: str) -> None:
    """Also where fixed lines are much shorter, unless mobile numbers have several lengths."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    mobile = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    if mobile is None or metadata is None or metadata.mobile is None:
        return
    national = phonenumbers.national_significant_number(mobile)
    for missing in range(1, 4):
        with suppress(InvalidPhone, UnsupportedPhone):
            short = phone.parse(f"+{mobile.country_code}{national[:-missing]}", ANYWHERE)
            number = phonenumbers.parse(short)
            length = len(phonenumbers.national_significant_number(number))
            assert length in metadata.mobile.possible_length, short


@pytest.mark.parametrize(
    "text",
    [
        "+7",
        "+7999",
        "+7999123456",
        "+799912345678",
        "+7999123456789012345678",
        "+" + "9" * 1000,
        "+7 999 123-45-67" + " " * 49,
        "+7 999 123-45-67" + " " * 1000,
        "+0999123456",
        "+999123456789",
        "+210123456789",
        "+12",
        "+1253253000",
        "+125325300000",
        "112",
        "+112",
    ],
)
def test_impossible_number_is_invalid(text: str) -> None:
    with pytest.raises(InvalidPhone):
        phone.parse(text, ANYWHERE)


@pytest.mark.parametrize(("text", "region"), [("+1 253 0000", None), ("253-0000", "US")])
def test_local_number_is_invalid(text: str, region: str | None) -> None:
    with pytest.raises(InvalidPhone):
        phone.parse(text, PhoneRules(default_region=region))


@pytest.mark.parametrize("text", ["+49" + "1" * 14, "+49" + "1" * 15, "+49151" + "1" * 12])
def test_number_over_15_digits_is_invalid(text: str) -> None:
    """Germany's numbering plan would allow more; E.164 and the database do not."""
    with pytest.raises(InvalidPhone):
        phone.parse(text, ANYWHERE)


@pytest.mark.parametrize(
    "text",
    [
        "+1 900 555 0199",  # premium
        "+44 909 876 5432",  # premium
        "+7 809 123 45 67",  # premium
        "+1 800 555 0199",  # toll-free
        "+7 800 123 45 67",  # toll-free
        "+44 800 123 4567",  # toll-free
        "+44 844 123 4567",  # shared cost
        "+44 70 1234 5678",  # personal
        "+44 20 7946 0958",  # landline
        "+7 495 123 45 67",  # landline
        "+49 30 123456",  # landline
        "+870 773 111 632",  # satellite: Inmarsat
        "+881 612 345 678",  # satellite: Iridium
        "+882 16 5000 0000",  # satellite: Thuraya
        "+883 510 012 345 678",  # international networks
        "+800 1234 5678",  # international toll-free
        "+808 1234 5678",  # international shared cost
        "+979 123 456 789",  # international premium
    ],
)
def test_kinds_without_text_messages_are_unsupported(text: str) -> None:
    with pytest.raises(UnsupportedPhone):
        phone.parse(text, ANYWHERE)


@pytest.mark.parametrize("text", ["89991234567", "9991234567", "79991234567"])
def test_plus_is_required_without_a_default_region(text: str) -> None:
    with pytest.raises(InvalidPhone, match="no country code") as refusal:
        phone.parse(text, ANYWHERE)
    assert "with + and the country code" in refusal.value.detail


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("8 (999) 123-45-67", "RU", "+79991234567"),
        ("999 123-45-67", "RU", "+79991234567"),
        ("79991234567", "RU", "+79991234567"),
        ("810 49 1512 3456789", "RU", "+4915123456789"),
        ("01512 3456789", "DE", "+4915123456789"),
        ("0049 1512 3456789", "DE", "+4915123456789"),
        ("+7 999 123-45-67", "DE", "+79991234567"),
        ("(253) 253-0000", "US", "+12532530000"),
    ],
)
def test_default_region_sets_how_phones_are_parsed(text: str, region: str, e164: str) -> None:
    assert phone.parse(text, PhoneRules(default_region=region)) == e164


RUSSIAN, KAZAKH, GERMAN, AMERICAN = "+79991234567", "+77071234567", "+4915123456789", "+12532530000"


@pytest.mark.parametrize(
    ("rules", "served"),
    [
        (PhoneRules(), {RUSSIAN, KAZAKH, GERMAN, AMERICAN}),
        (PhoneRules(allowed=frozenset({"RU"})), {RUSSIAN}),
        (PhoneRules(allowed=frozenset({"RU", "DE"})), {RUSSIAN, GERMAN}),
        (PhoneRules(denied=frozenset({"KZ"})), {RUSSIAN, GERMAN, AMERICAN}),
        (PhoneRules(allowed=frozenset({"RU", "DE"}), denied=frozenset({"DE"})), {RUSSIAN}),
        (PhoneRules(default_region="US", allowed=frozenset({"DE"})), {GERMAN}),
    ],
)
def test_countries_allowed_and_denied(rules: PhoneRules, served: set[str]) -> None:
    """Also if two countries share a calling code, as Russia and Kazakhstan do."""
    for each in (RUSSIAN, KAZAKH, GERMAN, AMERICAN):
        if each in served:
            assert phone.parse(each, rules) == each
        else:
            with pytest.raises(UnsupportedPhone):
                phone.parse(each, rules)


@pytest.mark.parametrize(
    ("rules", "served"),
    [
        (PhoneRules(), True),
        (PhoneRules(allowed=frozenset({"RU", "KZ"})), True),
        (PhoneRules(allowed=frozenset({"RU"})), True),
        (PhoneRules(allowed=frozenset({"KZ", "DE"})), True),
        (PhoneRules(allowed=frozenset({"DE"})), False),
        (PhoneRules(denied=frozenset({"KZ"})), False),
        (PhoneRules(denied=frozenset({"DE"})), True),
        (PhoneRules(allowed=frozenset({"RU"}), denied=frozenset({"KZ"})), False),
    ],
)
def test_unknown_region_is_judged_by_the_calling_code(rules: PhoneRules, *, served: bool) -> None:
    """+7 5 is a range of neither Russia nor Kazakhstan, which share +7."""
    unknown = "+75551234567"
    assert phone.country(unknown) == "RU"
    if served:
        assert phone.parse(unknown, rules) == unknown
    else:
        with pytest.raises(UnsupportedPhone):
            phone.parse(unknown, rules)


RUSSIA_AND_KAZAKHSTAN = PhoneRules(allowed=frozenset({"RU", "KZ"}))


@pytest.mark.parametrize(
    ("text", "rules", "country", "said"),
    [
        ("+44 7400 123456", RUSSIA_AND_KAZAKHSTAN, "GB", "country: United Kingdom."),
        (
            "+7 555 123-45-67",
            PhoneRules(denied=frozenset({"KZ"})),
            "+7",
            "country: +7.",
        ),
        ("+44 20 7946 0958", PhoneRules(), "", "kind of number."),
    ],
)
def test_refusal_names_the_unserved_country(
    text: str, rules: PhoneRules, country: str, said: str
) -> None:
    with pytest.raises(UnsupportedPhone) as refusal:
        phone.parse(text, rules)
    assert refusal.value.country == country
    assert (
        f"does not send codes to this {said} Use a mobile number such as +" in refusal.value.detail
    )


@pytest.mark.parametrize("text", ["not a phone", "+7 999", "8 999 123-45-67", "+44 7400 123456"])
def test_refusal_shows_a_phone_that_is_served(text: str) -> None:
    with pytest.raises((InvalidPhone, UnsupportedPhone)) as refusal:
        phone.parse(text, RUSSIA_AND_KAZAKHSTAN)
    shown = re.search(r"such as (\+[0-9 -]+)\.", refusal.value.detail)
    assert shown
    assert phone.country(phone.parse(shown[1], RUSSIA_AND_KAZAKHSTAN)) in {"RU", "KZ"}


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        (PhoneRules(), "+1 201-555-0123"),
        (PhoneRules(default_region="RU"), "+7 912 345-67-89"),
        (PhoneRules(default_region="US", allowed=frozenset({"KZ"})), "+7 771 000 9998"),
        (PhoneRules(denied=frozenset({"US"})), "+247 40123"),
        (PhoneRules(allowed=frozenset({"GS", "GB"})), "+44 7400 123456"),
    ],
)
def test_example_is_served_and_parsed_as_shown(rules: PhoneRules, shown: str) -> None:
    with pytest.raises(InvalidPhone) as refusal:
        phone.parse("no phone", rules)
    assert f"such as {shown}." in refusal.value.detail
    assert phone.parse(shown, rules)


@no_deadline
@given(st.text() | st.from_regex(r"\+?[0-9() -]{3,25}", fullmatch=True))
@example("+12530000")
@example("+49151111111111111")
def test_any_text_has_one_spelling_or_is_refused(text: str) -> None:
    try:
        e164 = phone.parse(text, ANYWHERE)
    except (InvalidPhone, UnsupportedPhone):
        return
    assert E164.fullmatch(e164)
    assert phone.parse(e164, ANYWHERE) == e164


@no_deadline
@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), st.sampled_from(["RU", "DE", "US"]))
def test_default_region_does_not_matter_with_a_plus(text: str, region: str) -> None:
    assert _outcome(text, ANYWHERE) == _outcome(text, PhoneRules(default_region=region))


@given(st.from_regex(E164, fullmatch=True))
def test_mask_shows_only_the_ends(number: str) -> None:
    masked = phone.mask(number)
    assert len(masked) == len(number)
    shown = len(masked) - 2 - masked.count("*")
    assert 1 <= shown <= 4
    assert masked == number[:shown] + "*" * masked.count("*") + number[-2:]


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+79991234567", "+7********67"),
        ("+12015550123", "+1********23"),
        ("+4915112345678", "+49*********78"),
        ("+380501234567", "+380*******67"),
        ("+2905123", "+290**23"),
        ("+99012", "+***12"),
        ("+79", "+79"),
        ("+3801", "+3801"),
    ],
)
def test_mask(number: str, masked: str) -> None:
    assert phone.mask(number) == masked


def _outcome(text: str, rules: PhoneRules) -> str:
    try:
        return phone.parse(text, rules)
    except Refusal as refusal:
        return refusal.code
