"""Format phones as people in their countries write them."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat


def format_phone(phone: str) -> str:
    """Format an E.164 number in the international form of its country: `+7 999 123-45-67`.

    Return any other text unchanged: it may be a masked number, or come from a cookie that somebody
    edited.
    """
    if not phone.removeprefix("+").isdigit():
        return phone
    try:
        number = phonenumbers.parse(phone)
    except NumberParseException:
        return phone
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
