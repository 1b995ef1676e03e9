"""Normalisation of a typed phone to ASCII digits with an optional leading +."""

from __future__ import annotations

import re
import unicodedata

MAX_LENGTH = 64  # characters

# Spaces, dashes, dots, slashes, brackets, tildes
_ASCII = r"\s\-./\\()\[\]{}<>~"
_ASCII_PUNCTUATION = re.compile(f"[{_ASCII}]")
# The same in every script. These categories (Unicode, section 4.5) are spaces, format characters
# such as direction marks, dashes and brackets; the pattern adds what Unicode puts elsewhere.
_CATEGORIES = {"Zs", "Zl", "Zp", "Cf", "Pd", "Ps", "Pe"}
_PUNCTUATION = re.compile(
    f"[{_ASCII}"
    "\u02d7\u2043\u207b\u208b\u2212\u23af\u2500\u2501\u2796\u30fc"  # dashes
    "\u00b7\u06d4\u2022\u2027\u2219\u22c5\u2e31\u2e33\u3002\u30fb"  # dots
    "\u2044\u2215\u2571\u29f5\u29f8"  # slashes
    "\u02dc\u2053\u223c\u223d"  # tildes
    # Invisible: Default_Ignorable_Code_Point in DerivedCoreProperties.txt; the braille blank
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\U000e0100-\U000e01ef"
    "\u2800]"
)
_NUMBER = re.compile(r"(?:tel:)?(\+?[0-9]{1,20})", re.IGNORECASE)


def normalize(text: str) -> str | None:
    """Strip punctuation from a phone; None if more than digits and a leading + would remain.

    The scheme of a telephone URI (`tel:`, RFC 3966) is dropped.
    """
    if len(text) > MAX_LENGTH:
        return None
    # Strict, because libphonenumber silently drops letters, NUL and extensions
    plain = text if text.isascii() else "".join(map(_to_ascii, text))
    number = _NUMBER.fullmatch(_ASCII_PUNCTUATION.sub("", plain))
    return number[1] if number else None


def _to_ascii(character: str) -> str:
    """Return the ASCII form of a character: empty for punctuation, unchanged if it has none.

    Called for each character, since normalising a whole text is quadratic in combining marks.
    """
    if character.isascii():
        return character
    if _PUNCTUATION.fullmatch(character):
        return ""
    return "".join(map(_digit_or_nothing, unicodedata.normalize("NFKC", character)))


def _digit_or_nothing(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    is_punctuation = unicodedata.category(character) in _CATEGORIES or _PUNCTUATION.fullmatch(
        character
    )
    return "" if is_punctuation else character
