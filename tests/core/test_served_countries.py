"""The countries that the pages offer for a phone, and their order."""

from __future__ import annotations

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

import phone_formats
from referral.core import collation, served_countries
from referral.core import phone as phones
from referral.core.phone import PhoneRules


@pytest.mark.parametrize(
    ("rules", "least"),
    [
        (PhoneRules(), 240),
        (PhoneRules(denied=frozenset({"US", "KZ"})), 238),
        (PhoneRules(allowed=frozenset({"KZ", "RU", "TA"})), 2),
    ],
)
def test_a_national_number_of_each_country_is_served(rules: PhoneRules, least: int) -> None:
    """None is offered whose phones would be refused. Tristan da Cunha (TA) has no mobiles."""
    offered = served_countries.regions(rules)
    assert len(offered) >= least
    for region in offered:
        number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        assert number is not None
        national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        own = PhoneRules(default_region=region, allowed=rules.allowed, denied=rules.denied)
        assert phones.parse(national, own).startswith(served_countries.calling_code(region))


@pytest.mark.parametrize(
    ("text", "region"),
    [("+7 701 000 12 34", "KZ"), ("+79991234567", "RU"), ("+1", None), ("701 000 1234", None)],
)
def test_region_of_a_number_with_its_country_code(text: str, region: str | None) -> None:
    assert served_countries.region_of(text, PhoneRules()) == region
    assert served_countries.region_of(text, PhoneRules(denied=frozenset({"KZ", "RU"}))) is None


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", ["Algeria", "Åland Islands", "Albania"]),
        ("es", ["Canadá", "Nauru", "Níger", "Ñandú", "Omán"]),
        ("ru", ["Армения", "Ёлки", "Ель", "Италия", "Йемен", "Кабо-Верде"]),
        ("uk", ["Ґана", "Єгипет", "Зімбабве", "Ізраїль", "Ірак", "Ямайка"]),
        ("kk", ["Австрия", "Әзербайжан", "Иран", "Қазақстан", "Ұлыбритания", "Үндістан"]),
        ("tr", ["Isparta", "İran", "İzlanda", "Japonya", "Özbekistan", "Panama"]),
    ],
)
def test_names_are_in_the_order_of_the_alphabet(language: str, names: list[str]) -> None:
    expected = {"en": ["Åland Islands", "Albania", "Algeria"]}.get(language, names)
    assert sorted(names, key=lambda name: collation.key(name, language)) == expected


def test_names_in_every_language_are_complete() -> None:
    for language in ("en", "ru"):
        named = served_countries.in_order(PhoneRules(), language)
        assert {region for region, _ in named} == served_countries.regions(PhoneRules())


def test_formats_file_is_of_the_installed_metadata() -> None:
    assert phone_formats.FILE.read_text().startswith(phone_formats.HEAD), "run `make messages`"
