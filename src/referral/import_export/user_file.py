"""Files of users: CSV with a header (RFC 4180) or JSON Lines, in UTF-8.

JSON Lines are taken and written as they are. In CSV, spreadsheets and databases leave marks:
`'+7...` and `="+7..."` stand for +7..., `NULL` and a backslash with N for nothing. A text that
would be taken for a formula or for such a mark is written as `="..."`, which is read as the text
again.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO

import msgspec

from referral.import_export.user_row import FIELDS

LONGEST_LINE = 65_536  # bytes

# As PostgreSQL and MySQL write a NULL
_NOTHING = {"NULL", "\\N"}
_TEXT_FORMULA = re.compile('="((?:[^"]|"")*)"')
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = {"=", "+", "-", "@", "\t", "\r"}
_AFTER_MARK = {"=", "+", "-", "@", *"0123456789"}
_PHONE = re.compile(r"\+[0-9]+")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Format(Enum):
    CSV = "csv"
    JSONL = "jsonl"

    @classmethod
    def of(cls, name: str) -> Format | None:
        """By the ending of a file's name."""
        endings = {"csv": cls.CSV, "jsonl": cls.JSONL, "ndjson": cls.JSONL}
        return endings.get(name.rpartition(".")[2].lower())


class Unreadable(Exception):  # noqa: N818 - of a file, and what its text says
    """It is no file of users. The text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row. number: the line of the file on which it starts. problem: why it has no texts."""

    number: int
    texts: Mapping[str, str]
    problem: str | None = None


def parse(file: BinaryIO, form: Format) -> Iterator[Line]:
    """The rows of a file, one at a time. Raises Unreadable."""
    lines = _decoded(file)
    return _read_csv(lines) if form is Format.CSV else _read_jsonl(lines)


def write(rows: Iterable[Mapping[str, str | None]], form: Format, *, header: bool) -> str:
    """The text of some rows. header: whether they are the first of a CSV file."""
    if form is Format.JSONL:
        return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS)
    if header:
        writer.writeheader()
    for row in rows:
        writer.writerow({field: _marked(value or "") for field, value in row.items()})
    return text.getvalue()


def _decoded(file: BinaryIO) -> Iterator[str]:
    for number, each in enumerate(_lines(file), 1):
        line = each
        if number == 1:
            if line.startswith(_UTF_16):
                raise Unreadable("the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > LONGEST_LINE:
            raise Unreadable(f"line {number} is over {LONGEST_LINE} bytes long: is this the file?")
        try:
            yield line.decode()
        except UnicodeDecodeError:
            raise Unreadable(f"line {number} is not UTF-8: save the file as UTF-8") from None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that end with LF, CR LF or CR alone. The last one may be too long, and is cut."""
    rest = b""
    while chunk := file.read(LONGEST_LINE):
        lines = (rest + chunk).splitlines(keepends=True)
        # It may go on, or a CR at its end be half of a CR LF
        rest = lines.pop()
        yield from lines
        if len(rest) > LONGEST_LINE:
            break
    if rest:
        yield rest


def _unmarked(text: str) -> str:
    """A value of CSV without what spreadsheets and databases add to it."""
    if text in _NOTHING:
        return ""
    if formula := _TEXT_FORMULA.fullmatch(text):
        return formula[1].replace('""', '"')
    # Typed before what is to stay a text
    return text[1:] if text[:1] == "'" and text[1:2] in _AFTER_MARK else text


def _marked(text: str) -> str:
    """A value of CSV from which `_unmarked` makes the text, and no spreadsheet a formula."""
    is_formula = text[:1] in _FORMULA and not _PHONE.fullmatch(text)
    if not is_formula and _unmarked(text) == text:
        return text
    return '="' + text.replace('"', '""') + '"'


def _read_csv(lines: Iterator[str]) -> Iterator[Line]:
    reader = csv.reader(lines, strict=True)
    header = _read_header(reader)
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, {}, f"This is no row of CSV ({error}): correct its quotes.")
            continue
        if len(values) == len(header):
            yield Line(number, dict(zip(header, map(_unmarked, values), strict=True)))
        elif values:
            problem = f"{len(values)} values under a header of {len(header)}: correct the commas."
            yield Line(number, {}, problem)


def _read_header(reader: Iterator[list[str]]) -> list[str]:
    columns = ", ".join(FIELDS)
    try:
        header = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise Unreadable(f"the file is empty: its first line names columns of {columns}") from None
    except csv.Error as error:
        raise Unreadable(f"the first line is no header of CSV: {error}") from None
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise Unreadable(
            "the columns are not separated by commas: save the file as CSV with commas"
        )
    if unknown := [name for name in header if name not in FIELDS]:
        raise Unreadable(
            f"{unknown[0]!r} is none of the columns {columns}: rename it or take it out"
        )
    if "phone" not in header:
        raise Unreadable(f"there is no column phone: the first line names columns of {columns}")
    if len(set(header)) != len(header):
        raise Unreadable("a column is there twice: take one out")
    return header


def _read_jsonl(lines: Iterator[str]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(dict[str, str | None])
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = decoder.decode(line)
        except msgspec.DecodeError:
            yield Line(number, {}, 'This is no JSON object of texts such as {"phone": "+7..."}.')
            continue
        if unknown := values.keys() - set(FIELDS):
            raise Unreadable(
                f"line {number}: {min(unknown)!r} is none of the fields {', '.join(FIELDS)}: "
                "rename it or take it out"
            )
        yield Line(number, {name: text for name, text in values.items() if text is not None})
