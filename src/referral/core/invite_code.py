"""Invite codes: 6 characters of Crockford's base32, read forgivingly."""

from __future__ import annotations

from collections.abc import Callable

from referral.core.errors import UnknownInviteCode

# https://www.crockford.com/base32.html: no I, L, O, U
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 6

_FORGIVEN = str.maketrans("OILU", "011V")


def new(randbelow: Callable[[int], int]) -> str:
    """A random code. `randbelow(n)` gives an unpredictable number from 0 to n - 1."""
    return "".join(ALPHABET[randbelow(len(ALPHABET))] for _ in range(LENGTH))


def read(text: str) -> str:
    """The canonical code for what somebody typed.

    Any case; O for 0, I or L for 1, U for V; spaces around it and hyphens in it are dropped.
    Raises UnknownInviteCode when no code can look like this.
    """
    bare = text.strip().replace("-", "")
    # upper() turns some letters outside ASCII into ones inside it
    code = bare.upper().translate(_FORGIVEN) if bare.isascii() else ""
    if len(code) != LENGTH or not set(code) <= set(ALPHABET):
        raise UnknownInviteCode(reason="malformed")
    return code
