"""Phones as people of their countries write them."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from referral.core import phone_text


def format_phone(phone: str) -> str:
    """The phone as people of its country write it for others: `+7 999 123-45-67`.

    What is none, such as a browser brings back from a cookie that somebody wrote, stays as it is.
    """
    try:
        number = phonenumbers.parse(phone)
    except NumberParseException:
        return phone
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def format_as_typed(text: str, region: str | None) -> tuple[str, str | None]:
    """A phone that is still being typed, in its country's form, and the country if it is known."""
    bare = phone_text.normalize(text)
    if bare is None:
        return "", None
    formatter = phonenumbers.AsYouTypeFormatter(region or "ZZ")
    spelt = ""
    for character in bare:
        spelt = formatter.input_digit(character)
    try:
        number = phonenumbers.parse(bare, region)
    except NumberParseException:
        return spelt, None
    return spelt, phonenumbers.region_code_for_number(number)
