"""Invite codes: 6 characters of Crockford's base32, read forgivingly."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from referral.core.errors import UnknownInviteCode
from referral.core.text import INVISIBLE

# https://www.crockford.com/base32.html: no I, L, O, U
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 6

# Characters: as long as links get
MAX_INVITE_TEXT_LENGTH = 2048

_FORGIVEN = str.maketrans("OILU", "011V")
_QUOTES = "\"'`\u00ab\u00b4\u00bb\u2018-\u201f\u2039\u203a\u300c-\u300f\uff02\uff07"
_DROPPED = re.compile(rf"[\s{_QUOTES}\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
# Of a sentence around it, or of the Markdown in which it came
_PUNCTUATION = ".,;:!?()[]{}<>*_~#/\u2026\u3001\u3002\uff01\uff0c\uff0e\uff1f"
_CODE = f"([0-9A-Za-z]{{{LENGTH}}})(?![0-9A-Za-z_])"
_OWN = re.compile(rf"/i/{_CODE}", re.IGNORECASE)


def new(randbelow: Callable[[int], int]) -> str:
    """A random code. `randbelow(n)` gives an unpredictable number from 0 to n - 1."""
    return "".join(ALPHABET[randbelow(len(ALPHABET))] for _ in range(LENGTH))


def parse(text: str, invite_url: str = "") -> str:
    """The canonical code in what somebody typed or pasted.

    Any case; O for 0, I or L for 1, U for V; spaces, dashes, quotes and invisible characters are
    dropped, and punctuation around it. Else the code of the one invite link in the text: of
    `invite_url`, which has `{code}` in it, or of `/i/CODE` on any host.
    Raises UnknownInviteCode if there is no code or several.
    """
    if len(text) > MAX_INVITE_TEXT_LENGTH:
        raise UnknownInviteCode(reason="too long")
    text = INVISIBLE.sub("", text)
    codes = {_canonical(_DROPPED.sub("", text).strip(_PUNCTUATION))}
    if codes == {None}:
        codes = {_canonical(code) for code in _links(text, invite_url)}
    if len(codes) != 1 or (code := codes.pop()) is None:
        raise UnknownInviteCode(reason="malformed")
    return code


def _canonical(text: str) -> str | None:
    # upper() turns some letters outside ASCII into ones inside it
    code = text.upper().translate(_FORGIVEN) if text.isascii() else ""
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


def _links(text: str, invite_url: str) -> list[str]:
    """What stands in the place of the code in each invite link of a text."""
    pattern = _of(invite_url) if "{code}" in invite_url else _OWN
    return [code for match in pattern.finditer(text) for code in match.groups() if code]


@lru_cache(maxsize=8)
def _of(invite_url: str) -> re.Pattern[str]:
    """Links of this shape with any scheme or none, and our own."""
    before, _, _ = invite_url.partition("{code}")
    before = before.partition("://")[2] or before
    page, is_query, parameter = before.partition("?")
    shape = re.escape(page)
    if is_query:
        # Other parameters may stand before it
        name = parameter.rpartition("&")[2]
        shape += rf"\?(?:[^\s#]*&)?{re.escape(name)}"
    return re.compile(rf"(?<![\w.@-]){shape}{_CODE}|{_OWN.pattern}", re.IGNORECASE)
