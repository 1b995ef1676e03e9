"""What a text that somebody typed into a search may mean."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from uuid import UUID

from referral.core import invite_code as invite_codes
from referral.core import phone as phones
from referral.core.errors import InvalidRequest, UnknownInviteCode
from referral.core.phone import PhoneRules

MAX_SEARCH_LENGTH = 254  # as long as an email address can be (RFC 5321, errata 1690)

_MOST_WORDS = 8
_SHORTEST_NATIONAL = 5
_LINKED = r"([0-9A-Za-z]{6})(?![0-9A-Za-z_])"


@dataclass(frozen=True, slots=True)
class Word:
    """A part of a name, of an email, or of a phone in E.164, with + its beginning."""

    text: str
    digits: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A row fits if one of these does.

    words: all of them, in any order. phones: under which it may be kept. digits: each a part of a
    phone in E.164, with + its beginning. is_link: whether only the invite code is meant.
    """

    words: tuple[Word, ...]
    phones: frozenset[str] = frozenset()
    digits: tuple[str, ...] = ()
    invite_code: str | None = None
    is_link: bool = False
    user_id: UUID | None = None


def parse(text: str, rules: PhoneRules, *, invite_url: str = "") -> Search | None:
    """None where nothing is searched for. invite_url: has `{code}` in it. Raises InvalidRequest."""
    # Before anything else is done with it: normalising takes time quadratic in combining marks
    text = text.strip()
    if len(text) > MAX_SEARCH_LENGTH:
        raise _unreadable()
    plain = "".join(map(_plain, text))
    if not plain.isprintable():
        raise _unreadable()
    # As names are kept
    plain = unicodedata.normalize("NFC", " ".join(plain.split()))
    if not plain:
        return None
    digits, linked = phones.digits(text), _linked(plain, invite_url)
    return Search(
        words=_words(plain, with_digits=digits is None),
        # Of a country that is served no more, too
        phones=frozenset(phones.spellings(text, rules)),
        digits=_parts(digits) if digits else (),
        invite_code=linked or _invite_code(plain),
        is_link=linked is not None,
        user_id=_user_id(plain),
    )


def case_variants(text: str) -> list[str]:
    """The letters of each place of a text, whatever their case: `["aA", "1", "нН"]`.

    So that both databases compare alike: what their own functions make of case hangs on their
    build, their settings and the alphabet.
    """
    return ["".join(dict.fromkeys(_cases(character))) for character in text]


def _cases(character: str) -> list[str]:
    cases = (character, character.lower(), character.upper())
    # ß has two letters in upper case
    return [case for case in cases if len(case) == 1]


def _plain(character: str) -> str:
    """A space for every kind of space, nothing for what is pasted unseen."""
    category = unicodedata.category(character)
    return " " if category == "Zs" else "" if category == "Cf" else character


def _words(text: str, *, with_digits: bool) -> tuple[Word, ...]:
    words = dict.fromkeys(text.split())
    if len(words) > _MOST_WORDS:
        return (Word(text),)
    return tuple(Word(word, phones.digits(word) if with_digits else None) for word in words)


def _parts(digits: str) -> tuple[str, ...]:
    """The digits, and those behind a prefix of calls within a country (0, 8) or abroad (00)."""
    if digits.startswith("00"):
        return digits, f"+{digits[2:]}"
    national = digits[1:] if digits.startswith(("0", "8")) else ""
    return (digits, national) if len(national) >= _SHORTEST_NATIONAL else (digits,)


def _user_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _linked(text: str, invite_url: str) -> str | None:
    """The code of an invite link: of the team's own page, or of ours."""
    before = invite_url.partition("{code}")[0].partition("://")[2]
    pages = "|".join(map(re.escape, filter(None, (before, "/i/"))))
    found = re.search(f"(?:{pages}){_LINKED}", text, re.IGNORECASE)
    return _invite_code(found[1]) if found else None


def _invite_code(text: str) -> str | None:
    try:
        return invite_codes.parse(text)
    except UnknownInviteCode:
        return None


def _unreadable() -> InvalidRequest:
    return InvalidRequest.field("search", f"At most {MAX_SEARCH_LENGTH} characters that print.")
