"""What a user may be called and reached by, besides the phone."""

from __future__ import annotations

import unicodedata

from email_validator import EmailNotValidError, validate_email

from referral.core.errors import InvalidRequest

LONGEST_NAME = 100
# Of invitees, on the profile itself
NEWEST_INVITEES = 100


def read_name(text: str) -> str:
    """The name as it is kept: in NFC, without spaces around it. Raises InvalidRequest."""
    name = unicodedata.normalize("NFC", text.strip())
    if not name:
        raise InvalidRequest.field("name", "Give a name, or null to have none.")
    if len(name) > LONGEST_NAME:
        raise InvalidRequest.field("name", f"At most {LONGEST_NAME} characters.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InvalidRequest.field("name", "No control characters.")
    return name


def read_email(text: str) -> str:
    """The address as it is kept; nobody asks whether it exists. Raises InvalidRequest."""
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError:
        raise InvalidRequest.field(
            "email", "Give an address such as anna@example.com, or null to have none."
        ) from None
