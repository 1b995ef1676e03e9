"""Reading and writing files of users."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.import_export import user_file
from referral.import_export.user_file import MAX_LINE_BYTES, Format, Line, UnreadableFile
from referral.import_export.user_row import FIELDS

# Files cannot have surrogates
TEXT = st.text(st.characters(codec="utf-8"))


def read(content: str | bytes, form: Format = Format.CSV) -> list[Line]:
    data = content.encode() if isinstance(content, str) else content
    return list(user_file.parse(io.BytesIO(data), form))


def test_the_extension_tells_the_format() -> None:
    names = ("users.csv", "a/USERS.CSV", "a.b.jsonl", "a.ndjson", "users.xlsx", "users", "-")
    assert [Format.from_name(name) for name in names] == [
        *(Format.CSV, Format.CSV, Format.JSONL, Format.JSONL),
        *(None, None, None),
    ]


def test_columns_have_any_order_and_rows_their_line_numbers() -> None:
    assert read('Name, phone\r\nAnna,+1\r\n\r\n"B\r\nob",+2\r\nCleo,+3\r\n') == [
        Line(2, {"name": "Anna", "phone": "+1"}),
        Line(4, {"name": "B\r\nob", "phone": "+2"}),
        Line(6, {"name": "Cleo", "phone": "+3"}),
    ]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without", "with"])
@pytest.mark.parametrize("form", Format)
def test_a_byte_order_mark_is_optional(mark: bytes, form: Format) -> None:
    content = {Format.CSV: "phone,name\n+1,Øyvind", Format.JSONL: '{"phone":"+1","name":"Øyvind"}'}
    [line] = read(mark + content[form].encode(), form)
    assert line.texts == {"phone": "+1", "name": "Øyvind"}


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT)), max_size=5))
def test_csv_round_trip(rows: list[dict[str, str]]) -> None:
    """Also with commas, quotes, line ends and texts that look like formulas."""
    written = user_file.format_rows(rows, Format.CSV, header=True)
    assert [line.texts for line in read(written)] == rows


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT | st.none())), max_size=5))
def test_json_lines_round_trip(rows: list[dict[str, str | None]]) -> None:
    written = user_file.format_rows(rows, Format.JSONL, header=True)
    assert written.count("\n") == len(rows)
    assert [line.texts for line in read(written, Format.JSONL)] == [
        {field: text for field, text in row.items() if text is not None} for row in rows
    ]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("form", Format)
def test_every_line_ending_is_recognised(end: str, form: Format) -> None:
    rows = [f"+{number}" for number in range(20_000)]
    header = ["phone"] if form is Format.CSV else []
    texts = rows if form is Format.CSV else [f'{{"phone":"{row}"}}' for row in rows]
    lines = read(end.join([*header, *texts]), form)
    assert [line.texts["phone"] for line in lines] == rows


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("'+79991234567", "+79991234567"),
        ('="+79991234567"', "+79991234567"),
        ('"=""+79991234567"""', "+79991234567"),
        ("'012345", "012345"),
        ("NULL", ""),
        ("\\N", ""),
        ("'t Hooft", "'t Hooft"),
        ("Null", "Null"),
        ("=1", "=1"),
    ],
)
def test_notations_of_spreadsheets_are_removed(written: str, text: str) -> None:
    [line] = read(f"phone,name\n+1,{written}\n")
    assert line.texts["name"] == text
    assert line.problem is None


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", '"=""=1+1"""'),
        ("@x", '"=""@x"""'),
        ("NULL", '"=""NULL"""'),
        ("Anna", "Anna"),
        ("'t Hooft", "'t Hooft"),
    ],
)
def test_no_name_is_written_as_a_formula_or_null(name: str, written: str) -> None:
    text = user_file.format_rows(
        [{"phone": "+79991234567", "name": name}], Format.CSV, header=False
    )
    assert text == f"+79991234567,{written},,,,\r\n"


def test_an_invalid_csv_row_does_not_stop_the_others() -> None:
    lines = read('phone,name\n+1\n+2,a,b\n+3,"a"b\n+4,Anna\n+5,"open\n')
    assert [(line.number, line.problem is None) for line in lines] == [
        *((2, False), (3, False), (4, False), (5, True), (6, False)),
    ]
    assert lines[3].texts == {"phone": "+4", "name": "Anna"}


@pytest.mark.parametrize(
    "text", ["+79991234567", "[]", "{", '{"phone": 7}', '{"phone": "\\ud800"}']
)
def test_an_invalid_json_line_does_not_stop_the_others(text: str) -> None:
    lines = read(f'{text}\n\n{{"phone": "+1", "name": null}}\n', Format.JSONL)
    assert [(line.number, line.problem is None) for line in lines] == [(1, False), (3, True)]
    assert lines[1].texts == {"phone": "+1"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("name,email\nAnna,\n", "no column phone"),
        ("phone,surname\n+1,a\n", "'surname' is not one of the columns"),
        ("phone,name,phone\n", "twice"),
        ("phone;name\n", "commas"),
        ("phone\tname\n", "commas"),
        ('"phone\n', "not a CSV header"),
        (b"phone,name\n+1,J\xf6rg\n", "line 2 is not UTF-8"),
        ("phone\n".encode("utf-16"), "UTF-16"),
        ("phone\n" + "1" * MAX_LINE_BYTES + "\n", "line 2 is longer than"),
    ],
)
def test_an_unreadable_file_is_one_line(content: str | bytes, message: str) -> None:
    with pytest.raises(UnreadableFile) as unreadable:
        read(content)
    assert message in str(unreadable.value)
    assert "\n" not in str(unreadable.value)


def test_an_unknown_field_is_reported_with_its_line() -> None:
    with pytest.raises(UnreadableFile, match="line 2: 'surname' is not one of the fields phone,"):
        read('{"phone": "+1"}\n{"phone": "+2", "surname": "a"}\n', Format.JSONL)
