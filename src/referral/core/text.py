"""Invisible characters, and digits of every script."""

from __future__ import annotations

import re
import unicodedata

# Default_Ignorable_Code_Point (DerivedCoreProperties.txt) and the braille blank, without variation
# selectors, which change the character before them
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
BLANK = re.compile(rf"[\s{_INVISIBLE}]")
# The characters of BLANK, as str.strip() takes them
_STRIPPED = "".join(character for character in map(chr, range(0x10000)) if BLANK.match(character))


def strip(text: str) -> str:
    """Remove spaces and invisible characters from both ends."""
    return text.strip(_STRIPPED)


def to_ascii_digits(text: str) -> str:
    """Replace decimal digits of every script by ASCII digits."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in text)
