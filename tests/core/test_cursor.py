"""Cursors: encoded ones are parsed, anything else is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from altered import by_one_character
from referral.core import cursor, seal
from referral.core.cursor import Cursor
from referral.core.errors import InvalidRequest

ID = "6f1e7b0a-0000-4000-8000-000000000001"
AT = "2026-01-01T12:30:00.000005Z"
CURSOR = Cursor(datetime(2026, 1, 1, 12, 30, 0, 5, tzinfo=UTC), UUID(ID))


def test_page_sizes() -> None:
    assert (cursor.DEFAULT_PAGE_SIZE, cursor.MAX_PAGE_SIZE) == (100, 1000)


@given(st.builds(Cursor, st.datetimes(timezones=st.just(UTC)), st.uuids()))
def test_encoded_cursor_is_parsed(written: Cursor) -> None:
    """To the microsecond, so rows of the same second stay apart."""
    read = cursor.parse(cursor.encode(written))
    assert read == written
    assert read.at.utcoffset() == timedelta()


def test_form_of_a_cursor() -> None:
    """So the cursors below are refused for what is wrong in them."""
    assert cursor.parse(_text(f'["{AT}","{ID}"]')) == CURSOR


@given(st.text())
@example("")
@example("\ud800")
@example("\uff21" * 4)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        cursor.parse(text)


@given(st.binary(min_size=1))
def test_any_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        cursor.parse(seal.base64url_encode(raw))


def test_changed_cursor_is_another_cursor_or_refused() -> None:
    """A cursor holds nothing secret, only a position in one's own list."""
    written = cursor.encode(CURSOR)
    for changed in by_one_character(written):
        try:
            read = cursor.parse(changed)
        except InvalidRequest:
            continue
        assert read != CURSOR


@pytest.mark.parametrize(
    "json",
    [
        "null",
        "[]",
        "{}",
        f'["{AT}"]',
        f'["{AT}",null]',
        f'[null,"{ID}"]',
        f'[0,"{ID}"]',
        f'[1e300,"{ID}"]',
        f'["{AT}","{ID[:-1]}"]',
        f'["2026-02-30T00:00:00Z","{ID}"]',
        f'["0000-01-01T00:00:00Z","{ID}"]',
        f'["10000-01-01T00:00:00Z","{ID}"]',
        f'["0001-01-01T00:00:00+14:00","{ID}"]',
        f'["9999-12-31T23:59:59-14:00","{ID}"]',
        f'{{"at":"{AT}","id":"{ID}"}}',
        f'["{AT}","{ID}"',
        f'["{AT}","{ID}"]]',
    ],
)
def test_other_json_is_refused(json: str) -> None:
    with pytest.raises(InvalidRequest):
        cursor.parse(_text(json))


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00", "2026-01-01T12:30:00", "9999-12-31T23:59:59"]
)
def test_time_without_a_zone_is_refused(at: str) -> None:
    """It would mean another instant on every machine."""
    with pytest.raises(InvalidRequest):
        cursor.parse(_text(f'["{at}","{ID}"]'))


@pytest.mark.parametrize("closed", [True, False])
def test_deeply_nested_json_is_refused(closed: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    deep = "[" * 10_000 + "]" * 10_000 * closed
    for json in (deep, f'["{AT}","{ID}",{deep}]'):
        with pytest.raises(InvalidRequest):
            cursor.parse(_text(json))


@pytest.mark.parametrize(
    "json",
    [
        f'["{AT}", "{ID}"]',
        f'["{AT}","{ID}"] ',
        f'["{AT}","{ID}",1]',
        f'["{AT}","{ID.upper()}"]',
        f'["{AT}","{ID.replace("-", "")}"]',
        f'["2026-01-01T13:30:00.000005+01:00","{ID}"]',
        f'["2026-01-01T12:30:00.0000050Z","{ID}"]',
    ],
)
def test_other_spelling_of_a_cursor_is_refused(json: str) -> None:
    with pytest.raises(InvalidRequest):
        cursor.parse(_text(json))


def _text(json: str) -> str:
    return seal.base64url_encode(json.encode())
