"""Invite codes: 6 characters of Crockford's base32, parsed leniently."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from referral.core.errors import UnknownInviteCode
from referral.core.text import INVISIBLE

# https://www.crockford.com/base32.html: no I, L, O, U
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 6

MAX_INVITE_TEXT_LENGTH = 2048  # characters, enough for any link

_LOOKALIKES = str.maketrans("OILU", "011V")
_QUOTES = "\"'`\u00ab\u00b4\u00bb\u2018-\u201f\u2039\u203a\u300c-\u300f\uff02\uff07"
_DROPPED = re.compile(rf"[\s{_QUOTES}\-\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
# From the sentence or the Markdown around a code
_PUNCTUATION = ".,;:!?()[]{}<>*_~#/\u2026\u3001\u3002\uff01\uff0c\uff0e\uff1f"
# A code in a link
CODE_PATTERN = f"([0-9A-Za-z]{{{LENGTH}}})(?![0-9A-Za-z_])"
_OWN_LINK = re.compile(rf"/i/{CODE_PATTERN}", re.IGNORECASE)


def new(randbelow: Callable[[int], int]) -> str:
    """Return a random code. randbelow(n) returns an unpredictable number below n."""
    return "".join(ALPHABET[randbelow(len(ALPHABET))] for _ in range(LENGTH))


def parse(text: str, invite_url: str = "") -> str:
    """Parse a typed or pasted code, or a text with an invite link, and return the canonical code.

    Case does not matter; O is read as 0, I and L as 1, U as V; spaces, dashes, quotes, invisible
    characters and surrounding punctuation are dropped. If that leaves no code, the text may hold an
    invite link of the form `invite_url`, which contains `{code}`, or `/i/CODE` on any host.
    Raises UnknownInviteCode if there is no code, or more than one.
    """
    if len(text) > MAX_INVITE_TEXT_LENGTH:
        raise UnknownInviteCode(reason="too long")
    text = INVISIBLE.sub("", text)
    codes = {_canonical(_DROPPED.sub("", text).strip(_PUNCTUATION))}
    if codes == {None}:
        codes = {_canonical(code) for code in codes_in_links(text, invite_url)}
    if len(codes) != 1 or (code := codes.pop()) is None:
        raise UnknownInviteCode(reason="malformed")
    return code


def codes_in_links(text: str, invite_url: str) -> list[str]:
    """Return the code in each invite link, as it is written there."""
    pattern = _link_pattern(invite_url) if "{code}" in invite_url else _OWN_LINK
    return [code for match in pattern.finditer(text) for code in match.groups() if code]


def _canonical(text: str) -> str | None:
    # Checked first, since upper() turns some other letters into ASCII ones
    code = text.upper().translate(_LOOKALIKES) if text.isascii() else ""
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


@lru_cache(maxsize=8)
def _link_pattern(invite_url: str) -> re.Pattern[str]:
    """Return the pattern of links of this form, with any scheme or none, and of our own page."""
    before, _, _ = invite_url.partition("{code}")
    before = before.partition("://")[2] or before
    page, is_query, parameter = before.partition("?")
    shape = re.escape(page)
    if is_query:
        # Other parameters may come first
        name = parameter.rpartition("&")[2]
        shape += rf"\?(?:[^\s#]*&)?{re.escape(name)}"
    return re.compile(rf"(?<![\w.@-]){shape}{CODE_PATTERN}|{_OWN_LINK.pattern}", re.IGNORECASE)
