"""Find the possible meanings of a text that was typed into the search field."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from uuid import UUID

from referral.core import invite_code as invite_codes
from referral.core import phone as phones
from referral.core.errors import InvalidRequest, UnknownInviteCode
from referral.core.phone import PhoneRules
from referral.core.profile_fields import MAX_EMAIL_LENGTH

MAX_SEARCH_LENGTH = MAX_EMAIL_LENGTH

_MAX_WORDS = 8
_MIN_NATIONAL_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Word:
    """A part of a name or an email. digits: the word as a part of a phone, see `phone.digits`."""

    text: str
    digits: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The meanings of a text. A user matches if one of them does.

    words: all have to be found, in any order. phones: every E.164 number under which a whole phone
    may be stored. digits: alternatives for a part of a phone, see `phone.digits`. is_link: whether
    the text is an invite link, so that only the invite code counts.
    """

    words: tuple[Word, ...]
    phones: frozenset[str] = frozenset()
    digits: tuple[str, ...] = ()
    invite_code: str | None = None
    is_link: bool = False
    user_id: UUID | None = None


def parse(text: str, rules: PhoneRules, *, invite_url: str = "") -> Search | None:
    """Parse a search. Return None for a blank text. Raises InvalidRequest.

    invite_url: the form of invite links, which contains `{code}`.
    """
    # Checked before anything else, since normalising is quadratic in combining marks
    text = text.strip()
    if len(text) > MAX_SEARCH_LENGTH:
        raise _invalid()
    plain = "".join(map(_plain_character, text))
    if not plain.isprintable():
        raise _invalid()
    # NFC, as names are stored
    plain = unicodedata.normalize("NFC", " ".join(plain.split()))
    if not plain:
        return None
    digits, link_code = phones.digits(text), _link_code(plain, invite_url)
    return Search(
        words=_words(plain, with_digits=digits is None),
        # Whether or not its country is still served
        phones=frozenset(phones.spellings(text, rules)),
        digits=_digit_variants(digits) if digits else (),
        invite_code=link_code or _invite_code(plain),
        is_link=link_code is not None,
        user_id=_user_id(plain),
    )


def case_variants(text: str) -> list[str]:
    """Return each character of a text with its other cases: `["aA", "1", "нН"]`.

    With these, PostgreSQL and SQLite find the same rows. Their own case functions differ by build,
    settings and alphabet.
    """
    return ["".join(dict.fromkeys(_cases(character))) for character in text]


def _cases(character: str) -> list[str]:
    cases = (character, character.lower(), character.upper())
    # The upper case of ß has two letters
    return [case for case in cases if len(case) == 1]


def _plain_character(character: str) -> str:
    """Return a space for any kind of space, nothing for a format character, else the character."""
    category = unicodedata.category(character)
    return " " if category == "Zs" else "" if category == "Cf" else character


def _words(text: str, *, with_digits: bool) -> tuple[Word, ...]:
    words = dict.fromkeys(text.split())
    if len(words) > _MAX_WORDS:
        return (Word(text),)
    return tuple(Word(word, phones.digits(word) if with_digits else None) for word in words)


def _digit_variants(digits: str) -> tuple[str, ...]:
    """Return the digits, and those after a trunk prefix (0, 8) or an international one (00)."""
    if digits.startswith("00"):
        return digits, f"+{digits[2:]}"
    national = digits[1:] if digits.startswith(("0", "8")) else ""
    return (digits, national) if len(national) >= _MIN_NATIONAL_LENGTH else (digits,)


def _user_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _link_code(text: str, invite_url: str) -> str | None:
    """Return the code in an invite link of the form `invite_url` or of our own page."""
    codes = invite_codes.codes_in_links(text, invite_url)
    return _invite_code(codes[0]) if codes else None


def _invite_code(text: str) -> str | None:
    try:
        return invite_codes.parse(text)
    except UnknownInviteCode:
        return None


def _invalid() -> InvalidRequest:
    return InvalidRequest.field(
        "search", f"Search for at most {MAX_SEARCH_LENGTH} printable characters."
    )
