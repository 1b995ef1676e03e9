"""Files of users: CSV with a header (RFC 4180) or JSON Lines, in UTF-8.

The texts of JSON Lines are read and written unchanged, those of CSV files as core/csv_values.py
says.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO

import msgspec

from referral.core import csv_values
from referral.import_export.user_row import FIELDS

MAX_LINE_BYTES = 65_536

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Format(Enum):
    CSV = "csv"
    JSONL = "jsonl"

    @classmethod
    def from_name(cls, name: str) -> Format | None:
        """Return the format by a file's extension, or None."""
        endings = {"csv": cls.CSV, "jsonl": cls.JSONL, "ndjson": cls.JSONL}
        return endings.get(name.rpartition(".")[2].lower())


class UnreadableFile(Exception):  # noqa: N818 - named after the file's state
    """The file is not a file of users. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row. number: the line of the file on which it starts. problem: why it has no texts."""

    number: int
    texts: Mapping[str, str]
    problem: str | None = None


def parse(file: BinaryIO, file_format: Format) -> Iterator[Line]:
    """Parse the rows of a file one at a time. Raises UnreadableFile."""
    lines = _decode_lines(file)
    return _parse_csv(lines) if file_format is Format.CSV else _parse_jsonl(lines)


def format_rows(
    rows: Iterable[Mapping[str, str | None]], file_format: Format, *, header: bool
) -> str:
    """Format rows as text. header: whether a CSV file starts here."""
    if file_format is Format.JSONL:
        return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)
    lines = ([row.get(field) or "" for field in FIELDS] for row in rows)
    return (csv_values.lines([FIELDS]) if header else "") + csv_values.lines(lines)


def _decode_lines(file: BinaryIO) -> Iterator[str]:
    for number, each in enumerate(_split_lines(file), 1):
        line = each
        if number == 1:
            if line.startswith(_UTF_16):
                raise UnreadableFile("the file is UTF-16: save it as UTF-8")
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > MAX_LINE_BYTES:
            raise UnreadableFile(
                f"line {number} is longer than {MAX_LINE_BYTES} bytes: is this the right file?"
            )
        try:
            yield line.decode()
        except UnicodeDecodeError:
            raise UnreadableFile(f"line {number} is not UTF-8: save the file as UTF-8") from None


def _split_lines(file: BinaryIO) -> Iterator[bytes]:
    """Split at LF, CR LF and CR. A line that is too long comes last, and is incomplete."""
    rest = b""
    while chunk := file.read(MAX_LINE_BYTES):
        lines = (rest + chunk).splitlines(keepends=True)
        # The last line may continue in the next chunk, or its CR may be half of a CR LF
        rest = lines.pop()
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest:
        yield rest


def _parse_csv(lines: Iterator[str]) -> Iterator[Line]:
    reader = csv.reader(lines, strict=True)
    header = _parse_header(reader)
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, {}, f"This row is not valid CSV ({error}): correct its quotes.")
            continue
        if len(values) == len(header):
            yield Line(number, dict(zip(header, map(csv_values.unescape, values), strict=True)))
        elif values:
            problem = f"{len(values)} values for {len(header)} columns: correct the commas."
            yield Line(number, {}, problem)


def _parse_header(reader: Iterator[list[str]]) -> list[str]:
    columns = ", ".join(FIELDS)
    try:
        header = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise UnreadableFile(
            f"the file is empty: its first line must name columns, out of {columns}"
        ) from None
    except csv.Error as error:
        raise UnreadableFile(f"the first line is not a CSV header: {error}") from None
    if len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
        raise UnreadableFile(
            "the columns are not separated by commas: save the file as CSV with commas"
        )
    if unknown := [name for name in header if name not in FIELDS]:
        raise UnreadableFile(
            f"{unknown[0]!r} is not one of the columns {columns}: rename it or remove it"
        )
    if "phone" not in header:
        raise UnreadableFile(
            f"there is no column phone: the first line must name columns, out of {columns}"
        )
    if len(set(header)) != len(header):
        raise UnreadableFile("a column appears twice: remove one of the two")
    return header


def _parse_jsonl(lines: Iterator[str]) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(dict[str, str | None])
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = decoder.decode(line)
        except msgspec.DecodeError:
            problem = 'This is not a JSON object of strings, such as {"phone": "+7..."}.'
            yield Line(number, {}, problem)
            continue
        if unknown := values.keys() - set(FIELDS):
            raise UnreadableFile(
                f"line {number}: {min(unknown)!r} is not one of the fields {', '.join(FIELDS)}: "
                "rename it or remove it"
            )
        yield Line(number, {name: text for name, text in values.items() if text is not None})
