"""Texts that differ from a token in one character."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_letters, digits

LETTERS = ascii_letters + digits + "-_"
# Padding, standard base64, separators, characters that lenient decoders skip, and non-ASCII
JUNK = "=.+/,~ \t\n\r\0\x7fé\uff21\ud800"


def by_one_character(token: str) -> Iterator[str]:
    """Yield the token with one character replaced, inserted or removed, at every position.

    The last letter of each part, of which base64 ignores some bits, is replaced by every other
    letter; any other one by the two letters that differ from it in one bit.
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
