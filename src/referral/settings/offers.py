"""The sentence about what an invited person gets, for every language of the pages."""

from __future__ import annotations

from collections.abc import Mapping

from referral import i18n
from referral.settings import values
from referral.settings.reader import Reader

_VARIABLE = "REFERRAL_OFFER"


def read(reader: Reader) -> Mapping[str, str]:
    """Read the sentences, by language; that for the other languages has the key ""."""
    names = {"": _VARIABLE} | {
        locale.tag: f"{_VARIABLE}_{locale.folder.upper()}" for locale in i18n.PREPARED.values()
    }
    found = {language: reader.read(name, values.sentence, "") for language, name in names.items()}
    return {language: text for language, text in found.items() if text}
