"""The order of names in a language: by its alphabet, without regard to case and accents."""

from __future__ import annotations

import unicodedata

# Languages whose alphabets have letters that others take for accented ones, or in another place
_ALPHABETS = {
    "es": "abcdefghijklmnñopqrstuvwxyz",
    "kk": "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя",
    "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "tr": "abcçdefgğhıijklmnoöprsştuüvyz",  # noqa: RUF001 - Turkish letters
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
}


def key(text: str, language: str) -> tuple[tuple[int, str], ...]:
    """Return the key by which to sort a text in this language."""
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")  # noqa: RUF001 - Turkish letters
    alphabet = _ALPHABETS.get(language, "")
    letters: list[tuple[int, str]] = []
    for letter in unicodedata.normalize("NFC", text).lower():
        if letter in alphabet:
            letters.append((1 + alphabet.index(letter), letter))
        else:
            plain = unicodedata.normalize("NFD", letter)[0]
            letters.append((1 + alphabet.find(plain), plain))
    return tuple(letters)
