"""Files of users: every row of a good file, and a line of what is wrong with another."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.import_export import user_file
from referral.import_export.user_file import LONGEST_LINE, Format, Line, Unreadable
from referral.import_export.user_row import FIELDS

# A file has no surrogates
TEXT = st.text(st.characters(codec="utf-8"))


def read(content: str | bytes, form: Format = Format.CSV) -> list[Line]:
    data = content.encode() if isinstance(content, str) else content
    return list(user_file.parse(io.BytesIO(data), form))


def test_the_form_is_that_of_the_ending() -> None:
    names = ("users.csv", "a/USERS.CSV", "a.b.jsonl", "a.ndjson", "users.xlsx", "users", "-")
    assert [Format.of(name) for name in names] == [
        *(Format.CSV, Format.CSV, Format.JSONL, Format.JSONL),
        *(None, None, None),
    ]


def test_columns_come_in_any_order_and_number_and_rows_know_their_lines() -> None:
    assert read('Name, phone\r\nAnna,+1\r\n\r\n"B\r\nob",+2\r\nCleo,+3\r\n') == [
        Line(2, {"name": "Anna", "phone": "+1"}),
        Line(4, {"name": "B\r\nob", "phone": "+2"}),
        Line(6, {"name": "Cleo", "phone": "+3"}),
    ]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without", "with"])
@pytest.mark.parametrize("form", Format)
def test_utf_8_is_read_with_and_without_a_byte_order_mark(mark: bytes, form: Format) -> None:
    content = {Format.CSV: "phone,name\n+1,Øyvind", Format.JSONL: '{"phone":"+1","name":"Øyvind"}'}
    [line] = read(mark + content[form].encode(), form)
    assert line.texts == {"phone": "+1", "name": "Øyvind"}


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT)), max_size=5))
def test_what_is_written_as_csv_is_read_again(rows: list[dict[str, str]]) -> None:
    """Whatever the texts: commas, quotes, line ends, and what a spreadsheet takes for a formula."""
    written = user_file.write(rows, Format.CSV, header=True)
    assert [line.texts for line in read(written)] == rows


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT | st.none())), max_size=5))
def test_what_is_written_as_json_lines_is_read_again(rows: list[dict[str, str | None]]) -> None:
    written = user_file.write(rows, Format.JSONL, header=True)
    assert written.count("\n") == len(rows)
    assert [line.texts for line in read(written, Format.JSONL)] == [
        {field: text for field, text in row.items() if text is not None} for row in rows
    ]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("form", Format)
def test_every_end_of_a_line_is_one(end: str, form: Format) -> None:
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
def test_marks_of_spreadsheets_and_databases_are_taken_off(written: str, text: str) -> None:
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
def test_no_name_is_written_as_a_formula_or_as_nothing(name: str, written: str) -> None:
    text = user_file.write([{"phone": "+79991234567", "name": name}], Format.CSV, header=False)
    assert text == f"+79991234567,{written},,,,\r\n"


def test_a_row_that_cannot_be_read_is_told_and_the_rest_is_read() -> None:
    lines = read('phone,name\n+1\n+2,a,b\n+3,"a"b\n+4,Anna\n+5,"open\n')
    assert [(line.number, line.problem is None) for line in lines] == [
        *((2, False), (3, False), (4, False), (5, True), (6, False)),
    ]
    assert lines[3].texts == {"phone": "+4", "name": "Anna"}


@pytest.mark.parametrize(
    "text", ["+79991234567", "[]", "{", '{"phone": 7}', '{"phone": "\\ud800"}']
)
def test_a_line_that_is_no_object_of_texts_is_told_and_the_rest_is_read(text: str) -> None:
    lines = read(f'{text}\n\n{{"phone": "+1", "name": null}}\n', Format.JSONL)
    assert [(line.number, line.problem is None) for line in lines] == [(1, False), (3, True)]
    assert lines[1].texts == {"phone": "+1"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "the file is empty"),
        ("name,email\nAnna,\n", "no column phone"),
        ("phone,surname\n+1,a\n", "'surname' is none of the columns"),
        ("phone,name,phone\n", "twice"),
        ("phone;name\n", "commas"),
        ("phone\tname\n", "commas"),
        ('"phone\n', "no header"),
        (b"phone,name\n+1,J\xf6rg\n", "line 2 is not UTF-8"),
        ("phone\n".encode("utf-16"), "UTF-16"),
        ("phone\n" + "1" * LONGEST_LINE + "\n", "line 2 is over"),
    ],
)
def test_what_is_no_file_of_users_is_told_in_a_line(content: str | bytes, told: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        read(content)
    assert told in str(unreadable.value)
    assert "\n" not in str(unreadable.value)


def test_a_field_that_nobody_knows_is_told_with_its_line() -> None:
    with pytest.raises(Unreadable, match="line 2: 'surname' is none of the fields phone,"):
        read('{"phone": "+1"}\n{"phone": "+2", "surname": "a"}\n', Format.JSONL)
