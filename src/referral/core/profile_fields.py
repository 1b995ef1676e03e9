"""What a user may be called and reached by, besides the phone."""

from __future__ import annotations

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from referral.core.errors import InvalidRequest
from referral.core.text import BLANK, strip

MAX_NAME_LENGTH = 100
MAX_EMAIL_LENGTH = 254  # RFC 5321, errata 1690
# Of invitees, on the profile itself
MAX_PROFILE_INVITEES = 100

_MOST_MARKS = 4
# LRE, RLE, PDF; LRI, RLI, FSI, PDI (Unicode Standard Annex 9)
_EMBEDDINGS = re.compile("[\u202a-\u202c\u2066-\u2069]")
# LRO and RLO; noncharacters (Unicode, section 23.7)
_FORBIDDEN = re.compile(
    "[\u202d\u202e\ufdd0-\ufdef"
    + "".join(chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)
# A scheme, www, or a dot between letters as in example.com; browsers read the ideographic dot, too
_WEB_ADDRESS = re.compile(r"://|\bwww\b|[^\W_][.\u3002][^\W\d_]{2}", re.IGNORECASE)


def parse_name(text: str) -> str:
    """The name as it is kept: in NFC, without blanks around it. Raises InvalidRequest.

    Embeddings and isolates, which come with text that is copied, are dropped: they are invisible.
    """
    name = strip(text)
    # Before the normalisation, whose time is quadratic in combining marks
    if len(name) > MAX_NAME_LENGTH * (1 + _MOST_MARKS):
        raise _refused_name(f"At most {MAX_NAME_LENGTH} characters.")
    name = strip(unicodedata.normalize("NFC", _EMBEDDINGS.sub("", name)))
    if not any(map(_is_visible, name)):
        raise _refused_name("Give a name that can be seen, or null to have none.")
    if len(name) > MAX_NAME_LENGTH:
        raise _refused_name(f"At most {MAX_NAME_LENGTH} characters.")
    if any(unicodedata.category(each) in {"Cc", "Cs", "Zl", "Zp"} for each in name):
        raise _refused_name("No control characters and no line ends.")
    if _FORBIDDEN.search(name):
        raise _refused_name("No direction overrides and no noncharacters.")
    if _most_marks(name) > _MOST_MARKS:
        raise _refused_name(f"At most {_MOST_MARKS} combining marks for each letter.")
    return name


def public_name(name: str | None) -> str | None:
    """The name as strangers may see it, or None if it looks like an address on the web.

    So no invitation of ours leads anywhere else, also where an app makes links of addresses. And
    None if today's rules refuse the name.
    """
    try:
        shown = parse_name(name or "")
    except InvalidRequest:
        return None
    return None if _WEB_ADDRESS.search(unicodedata.normalize("NFKC", shown)) else shown


def parse_email(text: str) -> str:
    """The address as it is kept; nobody asks whether it exists. Raises InvalidRequest."""
    address = strip(text)
    try:
        # The library measures after it has normalised
        if len(address) <= MAX_EMAIL_LENGTH:
            return validate_email(address, check_deliverability=False).normalized
    except EmailNotValidError:
        pass
    raise InvalidRequest.field(
        "email", "Give an address such as anna@example.com, or null to have none."
    )


def _refused_name(message: str) -> InvalidRequest:
    return InvalidRequest.field("name", message)


def _is_visible(character: str) -> bool:
    """Whether it is more than a space, a mark on another character or nothing at all."""
    category = unicodedata.category(character)
    return (
        category[0] not in "ZM"
        and category not in {"Cc", "Cf", "Cs"}
        and not BLANK.match(character)
    )


def _most_marks(name: str) -> int:
    """How many combining marks the letter with the most has, however it is composed."""
    most = marks = 0
    for character in unicodedata.normalize("NFD", name):
        category = unicodedata.category(character)
        if category[0] == "M":
            marks += 1
            most = max(most, marks)
        elif category != "Cf":  # joiners stay between a letter and its marks
            marks = 0
    return most
