"""The script that writes the names of countries (from CLDR), run by `make messages`."""

from __future__ import annotations

from pathlib import Path

import phonenumbers
from babel import Locale

from referral.core import countries
from referral.i18n import LANGUAGES

FILE = Path(countries.__file__).with_name("country_names.py")

_HEAD = '''"""The names of countries, written by tests/helpers/countries.py: `make messages`."""

LANGUAGES = {languages}
NAMES = """\\
'''


def module() -> str:
    """Return the source of country_names.py."""
    territories = [Locale.parse(language).territories for language in LANGUAGES]
    lines = [
        "|".join([region, *(names[region] for names in territories)])
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    ]
    languages = str(LANGUAGES).replace("'", '"')
    return _HEAD.format(languages=languages) + "\n".join(lines) + '\n"""\n'


if __name__ == "__main__":
    FILE.write_text(module(), encoding="utf-8")
