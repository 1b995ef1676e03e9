"""Values in CSV files that spreadsheets and databases write and read.

They have notations of their own: `'+7...` and `="+7..."` mean the text +7..., and `NULL` and a
backslash with N mean no value. A text that would be read as a formula, or as one of these
notations, is written as `="..."`, which is read as the text again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

# How PostgreSQL and MySQL write NULL
_NULLS = {"NULL", "\\N"}
_TEXT_FORMULA = re.compile('="((?:[^"]|"")*)"')
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_START = {"=", "+", "-", "@", "\t", "\r"}
# An apostrophe before one of these marks a value as text, as typed into a spreadsheet
_AFTER_APOSTROPHE = {"=", "+", "-", "@", *"0123456789"}
_PHONE = re.compile(r"\+[0-9]+")


def lines(rows: Iterable[Iterable[object]]) -> str:
    """Return lines of CSV with escaped texts. None becomes an empty value; numbers stay numbers."""
    text = io.StringIO()
    csv.writer(text).writerows(
        [escape(each) if isinstance(each, str) else each for each in row] for row in rows
    )
    return text.getvalue()


def escape(text: str) -> str:
    """Return a CSV value that `unescape` turns into the text, and that is no formula."""
    is_formula = text[:1] in _FORMULA_START and not _PHONE.fullmatch(text)
    if not is_formula and unescape(text) == text:
        return text
    return '="' + text.replace('"', '""') + '"'


def unescape(text: str) -> str:
    """Return a CSV value without the notations of spreadsheets and databases."""
    if text in _NULLS:
        return ""
    if formula := _TEXT_FORMULA.fullmatch(text):
        return formula[1].replace('""', '"')
    return text[1:] if text[:1] == "'" and text[1:2] in _AFTER_APOSTROPHE else text
