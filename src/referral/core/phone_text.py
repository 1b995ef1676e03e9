"""Phones as people type them: to ASCII digits, with at most a + before them."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 64  # characters

# Spaces, dashes, dots, slashes, brackets, tildes
_ASCII = r"\s\-./\\()\[\]{}<>~"
_ASCII_PUNCTUATION = re.compile(f"[{_ASCII}]")
# Of every script. The categories (Unicode, chapter 4) are spaces, format characters such as
# direction marks, dashes and brackets; the others are what Unicode holds for something else.
_CATEGORIES = {"Zs", "Zl", "Zp", "Cf", "Pd", "Ps", "Pe"}
_PUNCTUATION = re.compile(
    f"[{_ASCII}"
    "\u02d7\u2043\u207b\u208b\u2212\u23af\u2500\u2501\u2796\u30fc"  # dashes
    "\u00b7\u06d4\u2022\u2027\u2219\u22c5\u2e31\u2e33\u3002\u30fb"  # dots
    "\u2044\u2215\u2571\u29f5\u29f8"  # slashes
    "\u02dc\u2053\u223c\u223d"  # tildes
    # Invisible: DerivedCoreProperties.txt, Default_Ignorable_Code_Point; a blank of braille
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\U000e0100-\U000e01ef"
    "\u2800]"
)
_NUMBER = re.compile(r"(?:tel:)?(\+?[0-9]{1,20})", re.IGNORECASE)


def normalize(text: str) -> str | None:
    """The digits of a text, with + if it starts with one; None if it is anything else.

    `tel:` is a phone's URI (RFC 3966).
    """
    if len(text) > MAX_LENGTH:
        return None
    # libphonenumber also takes letters, NUL and extensions, and drops them without a word
    plain = text if text.isascii() else "".join(map(_to_ascii, text))
    number = _NUMBER.fullmatch(_ASCII_PUNCTUATION.sub("", plain))
    return number[1] if number else None


def _to_ascii(character: str) -> str:
    """A character as ASCII, punctuation as nothing; as it is if it has no such form.

    One by one: normalising a whole text takes time quadratic in its combining marks.
    """
    if character.isascii():
        return character
    if _PUNCTUATION.fullmatch(character):
        return ""
    return "".join(map(_plain, unicodedata.normalize("NFKC", character)))


def _plain(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    is_punctuation = unicodedata.category(character) in _CATEGORIES or _PUNCTUATION.fullmatch(
        character
    )
    return "" if is_punctuation else character
