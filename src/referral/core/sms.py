"""How many SMS a text takes."""

from __future__ import annotations

# The basic character set of GSM 03.38
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# These count twice: an escape comes before each
_EXTENDED = frozenset("^{}\\[~]|€\f")
# How many characters fit in one SMS, and in each of several
_GSM_LENGTHS, _UNICODE_LENGTHS = (160, 153), (70, 67)


def segments(text: str) -> int:
    """Return how many SMS a text takes: one letter outside of GSM 03.38 halves what fits in."""
    letters = set(text)
    if letters <= GSM | _EXTENDED:
        length = len(text) + sum(text.count(letter) for letter in letters & _EXTENDED)
        whole, part = _GSM_LENGTHS
    else:
        # UTF-16 takes two units for an emoji
        length = len(text.encode("utf-16-le", "surrogatepass")) // 2
        whole, part = _UNICODE_LENGTHS
    return 1 if length <= whole else -(-length // part)
