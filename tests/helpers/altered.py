"""Texts that differ from a token by one character."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_letters, digits

LETTERS = ascii_letters + digits + "-_"
# Padding, the other base64's letters, separators, what decoders skip, and no ASCII at all
JUNK = "=.+/,~ \t\n\r\0\x7fé\uff21\ud800"


def by_one_character(token: str) -> Iterator[str]:
    """The token with one character replaced, put in or taken out, at every place.

    In the last letters of its parts, of which base64 ignores some bits, by every letter there is;
    elsewhere by two letters that differ in one bit each.
    """
    last_letters = {at - 1 for at, letter in enumerate(token) if letter == "."} | {len(token) - 1}
    for at, letter in enumerate(token):
        before, after = token[:at], token[at + 1 :]
        yield before + after
        near = LETTERS.find(letter)
        replacements = LETTERS if at in last_letters else LETTERS[near ^ 1] + LETTERS[near ^ 32]
        for other in replacements + JUNK:
            if other != letter:
                yield before + other + after
    for at in range(len(token) + 1):
        for other in "A" + JUNK:
            yield token[:at] + other + token[at:]
