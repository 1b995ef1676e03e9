"""Format phones as people in their countries write them."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from referral.core import phone_text


def format_phone(phone: str) -> str:
    """Format an E.164 number in the international form of its country: `+7 999 123-45-67`.

    Return any other text unchanged: it may come from a cookie that somebody edited.
    """
    try:
        number = phonenumbers.parse(phone)
    except NumberParseException:
        return phone
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def format_as_typed(text: str, region: str | None) -> tuple[str, str | None]:
    """Format a phone that is still being typed. Return the text, and the region or None."""
    bare = phone_text.normalize(text)
    if bare is None:
        return "", None
    formatter = phonenumbers.AsYouTypeFormatter(region or "ZZ")
    formatted = ""
    for character in bare:
        formatted = formatter.input_digit(character)
    try:
        number = phonenumbers.parse(bare, region)
    except NumberParseException:
        return formatted, None
    return formatted, phonenumbers.region_code_for_number(number)
