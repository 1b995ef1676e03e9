"""What a text that somebody typed into a search may mean."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from referral.core import invite_code as invite_codes
from referral.core import phone as phones
from referral.core.errors import InvalidPhone, InvalidRequest, UnknownInviteCode, UnsupportedPhone
from referral.core.phone import Rules

LONGEST = 254  # as long as an email address can be (RFC 5321, errata 1690)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A row fits where one of these does.

    text: a part of a name or an email. digits: a part of a phone in E.164, with + its beginning.
    """

    text: str
    phone: str | None
    digits: str | None
    invite_code: str | None


def read(text: str, rules: Rules) -> Search | None:
    """None where nothing is searched for. Raises InvalidRequest."""
    text = text.strip()
    if not text:
        return None
    # As names are kept
    if len(text) <= LONGEST:
        text = unicodedata.normalize("NFC", text)
    if len(text) > LONGEST or not text.isprintable():
        raise InvalidRequest.field("search", f"At most {LONGEST} characters that print.")
    return Search(
        text=text,
        phone=_phone(text, rules),
        digits=phones.digits(text),
        invite_code=_invite_code(text),
    )


def spellings(text: str) -> list[str]:
    """The letters of each place of a text, whatever their case: `["aA", "1", "нН"]`.

    So that both databases compare alike: what their own functions make of case hangs on their
    build, their settings and the alphabet.
    """
    return ["".join(dict.fromkeys(_cases(character))) for character in text]


def _cases(character: str) -> list[str]:
    cases = (character, character.lower(), character.upper())
    # ß has two letters in upper case
    return [case for case in cases if len(case) == 1]


def _phone(text: str, rules: Rules) -> str | None:
    try:
        # Of a country that is served no more, too
        return phones.read(text, Rules(default_region=rules.default_region))
    except (InvalidPhone, UnsupportedPhone):
        return None


def _invite_code(text: str) -> str | None:
    try:
        return invite_codes.read(text)
    except UnknownInviteCode:
        return None
