"""The script that writes the names of countries (from CLDR), run by `make messages`."""

from __future__ import annotations

from pathlib import Path

import phonenumbers
from babel import Locale

from referral import i18n
from referral.core import countries

FOLDER = Path(countries.__file__).with_name("country_names")

_HEAD = '''"""The names of countries in {tag}, written by tests/helpers/countries.py."""

NAMES = """\\
'''


def file(tag: str) -> Path:
    """Return the file of a language."""
    return FOLDER / f"{i18n.PREPARED[tag].folder.lower()}.py"


def module(tag: str) -> str:
    """Return the source of the file of a language."""
    names = Locale.parse(i18n.PREPARED[tag].folder).territories
    lines = [f"{region} {names[region]}" for region in sorted(phonenumbers.SUPPORTED_REGIONS)]
    return _HEAD.format(tag=tag) + "\n".join(lines) + '\n"""\n'


if __name__ == "__main__":
    for each in i18n.PREPARED:
        file(each).write_text(module(each), encoding="utf-8")
