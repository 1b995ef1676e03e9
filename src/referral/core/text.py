"""Characters of a text that people do not see, and digits of every script."""

from __future__ import annotations

import re
import unicodedata

# Default_Ignorable_Code_Point (DerivedCoreProperties.txt) without variation selectors, which change
# the character before them, and the blank of braille
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
INVISIBLE = re.compile(f"[{_INVISIBLE}]")
BLANK = re.compile(rf"[\s{_INVISIBLE}]")
# What strip() takes: the same, without whitespace
_STRIPPED = "".join(character for character in map(chr, range(0x10000)) if BLANK.match(character))


def strip(text: str) -> str:
    """Take spaces and invisible characters off both ends."""
    return text.strip(_STRIPPED)


def to_ascii_digits(text: str) -> str:
    """The text with decimal digits of every script as ASCII digits."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(each)) if each.isdecimal() else each for each in text)
