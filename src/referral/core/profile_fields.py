"""Parse names and emails of users, and decide which names to show publicly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TypedDict

from email_validator import EmailNotValidError, validate_email

from referral.core.errors import InvalidRequest
from referral.core.text import BLANK, strip

MAX_NAME_LENGTH = 100
MAX_EMAIL_LENGTH = 254  # RFC 5321, errata 1690
# Included in the profile itself; a paginated list has all invitees
MAX_PROFILE_INVITEES = 100

_MAX_MARKS = 4
# LRE, RLE, PDF; LRI, RLI, FSI, PDI (Unicode Standard Annex 9)
_EMBEDDINGS = re.compile("[\u202a-\u202c\u2066-\u2069]")
# LRO and RLO; noncharacters (Unicode, section 23.7)
_FORBIDDEN = re.compile(
    "[\u202d\u202e\ufdd0-\ufdef"
    + "".join(chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)
# A scheme, www, or a dot between letters as in example.com; browsers accept the ideographic dot too
_WEB_ADDRESS = re.compile(r"://|\bwww\b|[^\W_][.\u3002][^\W\d_]{2}", re.IGNORECASE)


class ProfileFields(TypedDict):
    """What users fill in themselves, named like the columns of users."""

    name: str | None
    email: str | None


def parse_name(text: str) -> str:
    """Parse a name: NFC, without blanks around it. Raises InvalidRequest.

    Direction embeddings and isolates are dropped: they are invisible and come with copied text.
    """
    name = strip(text)
    # Checked before normalising, which is quadratic in combining marks
    if len(name) > MAX_NAME_LENGTH * (1 + _MAX_MARKS):
        raise _refused_name(f"Use at most {MAX_NAME_LENGTH} characters.")
    name = strip(unicodedata.normalize("NFC", _EMBEDDINGS.sub("", name)))
    if not any(map(_is_visible, name)):
        raise _refused_name("Give a name with a visible character, or null to remove it.")
    if len(name) > MAX_NAME_LENGTH:
        raise _refused_name(f"Use at most {MAX_NAME_LENGTH} characters.")
    if any(unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in name):
        raise _refused_name("Remove control characters and line breaks.")
    if _FORBIDDEN.search(name):
        raise _refused_name("Remove direction overrides and noncharacters.")
    if _max_marks(name) > _MAX_MARKS:
        raise _refused_name(f"Use at most {_MAX_MARKS} combining marks for each letter.")
    return name


def public_name(name: str | None) -> str | None:
    """Return the name to show publicly, or None if it looks like a web address.

    So no invitation leads to another site, even if an app turns addresses into links. Also return
    None for a stored name that the present rules refuse.
    """
    try:
        shown = parse_name(name or "")
    except InvalidRequest:
        return None
    return None if _WEB_ADDRESS.search(unicodedata.normalize("NFKC", shown)) else shown


def parse_email(text: str) -> str:
    """Parse an email address, without checking that it exists. Raises InvalidRequest."""
    address = strip(text)
    try:
        # Checked here, since the library measures only after normalising
        if len(address) <= MAX_EMAIL_LENGTH:
            return validate_email(address, check_deliverability=False).normalized
    except EmailNotValidError:
        pass
    raise InvalidRequest.field(
        "email", "Give an address such as anna@example.com, or null to remove it."
    )


PARSERS: Mapping[str, Callable[[str], str]] = {"name": parse_name, "email": parse_email}
"""The parser of each of ProfileFields. It raises InvalidRequest."""


def _refused_name(message: str) -> InvalidRequest:
    return InvalidRequest.field("name", message)


def _is_visible(character: str) -> bool:
    """Return whether a character is more than a space, a combining mark or an invisible one."""
    category = unicodedata.category(character)
    return (
        category[0] not in "ZM"
        and category not in {"Cc", "Cf", "Cs"}
        and not BLANK.match(character)
    )


def _max_marks(name: str) -> int:
    """Return the largest number of combining marks on one letter, composed or not."""
    most = marks = 0
    for character in unicodedata.normalize("NFD", name):
        category = unicodedata.category(character)
        if category[0] == "M":
            marks += 1
            most = max(most, marks)
        elif category != "Cf":  # a joiner does not end the marks of a letter
            marks = 0
    return most
