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
# Where many countries write decimals with a comma, spreadsheets split lines at semicolons instead,
# even inside quotes that do not begin at one
_FORMULA_INSIDE = re.compile(r"([;\t]\s*)(?=[=+\-@])")


def lines(rows: Iterable[Iterable[object]], *, for_spreadsheet: bool = False) -> str:
    """Return lines of CSV with escaped texts. None becomes an empty value; numbers stay numbers.

    for_spreadsheet: see `escape`.
    """
    text = io.StringIO()
    csv.writer(text).writerows(
        [
            escape(each, for_spreadsheet=for_spreadsheet) if isinstance(each, str) else each
            for each in row
        ]
        for row in rows
    )
    return text.getvalue()


def escape(text: str, *, for_spreadsheet: bool = False) -> str:
    """Return a CSV value that `unescape` turns into the text, and that is no formula.

    for_spreadsheet: whether people open the file rather than programs. Then a phone is written as
    `="+7..."` too, since spreadsheets read +7... as a number; and a formula after a semicolon gets
    an apostrophe, which `unescape` does not remove.
    """
    if for_spreadsheet:
        text = _FORMULA_INSIDE.sub(r"\1'", text)
    is_phone = not for_spreadsheet and _PHONE.fullmatch(text)
    is_formula = text[:1] in _FORMULA_START and not is_phone
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
