"""Parsing rows of a file of users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core.errors import InvalidPhone, InvalidRequest, UnsupportedPhone
from referral.core.phone import PhoneRules
from referral.import_export import user_row
from referral.import_export.user_row import EARLIEST, UserRow

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PHONE = "+79991234567"


def read(**texts: str) -> UserRow:
    return user_row.parse({"phone": PHONE, **texts}, rules=PhoneRules(), now=NOW)


def test_only_the_phone_is_required() -> None:
    assert read() == UserRow(phone=PHONE)
    assert read(name=" ", email="", invite_code="", inviter_code="", created_at="") == read()


def test_phone_name_and_email_are_normalised() -> None:
    row = read(phone="+7 (999) 123-45-67", name=" Anna\u0308 ", email=" Anna@EXAMPLE.com ")
    assert (row.phone, row.name, row.email) == (PHONE, "Annä", "Anna@example.com")


def test_the_phone_rules_of_the_settings_apply() -> None:
    rules = PhoneRules(default_region="RU", denied=frozenset({"DE"}))
    assert user_row.parse({"phone": "8 999 123 45 67"}, rules=rules, now=NOW).phone == PHONE
    with pytest.raises(UnsupportedPhone):
        user_row.parse({"phone": "+4915112345678"}, rules=rules, now=NOW)
    with pytest.raises(InvalidPhone):
        user_row.parse({}, rules=rules, now=NOW)


def test_codes_stay_as_written() -> None:
    row = read(invite_code=" l87zwp ", inviter_code="ANNA-2024")
    assert (row.invite_code, row.inviter_code) == ("l87zwp", "ANNA-2024")


def test_an_invite_link_is_replaced_with_its_code() -> None:
    row = read(invite_code="https://x.example/i/l87zwp", inviter_code="https://old.example/ANNA")
    assert (row.invite_code, row.inviter_code) == ("187ZWP", "https://old.example/ANNA")
    link = {"phone": PHONE, "inviter_code": "https://app.example/7kq2mx"}
    read_link = user_row.parse(
        link, rules=PhoneRules(), now=NOW, invite_url="https://app.example/{code}"
    )
    assert read_link.inviter_code == "7KQ2MX"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31T12:00:00Z", NOW),
        ("2026-01-31 12:00:00z", NOW),
        ("2026-01-31T15:00:00+03:00", NOW),
        ("2026-01-31T11:59:59.999999Z", NOW - timedelta(microseconds=1)),
        ("2026-01-31 12:00:00+00", NOW),
        ("2026-01-31 15:00:00.000+03", NOW),
        ("2026-01-31 17:30:00+0530", NOW),
        ("2026-01-31 17:30:00+05:30", NOW),
        ("2026-01-31 12:00:00 UTC", NOW),
        ("2026-01-31", NOW.replace(hour=0)),
        ("2000-01-01", EARLIEST),
    ],
)
def test_a_timestamp_is_parsed(text: str, at: datetime) -> None:
    assert read(created_at=text).created_at == at


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00.000001Z",
        "2026-02-01",
        "1999-12-31",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-01-31T12:00:00",
        "2026-02-30",
        "2025-06-31T12:00:00Z",
        "31.01.2026",
        "20260131",
        "2026-W01-1",
        "1767225600",
        "today",
        "2026-01-31T12:00",
    ],
)
def test_a_wrong_timestamp_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(created_at=text)
    assert refused.value.members["errors"][0]["field"] == "created_at"


@pytest.mark.parametrize(
    ("field", "text"), [("name", "x" * 101), ("name", "a\x00b"), ("email", "anna")]
)
def test_a_name_or_email_is_checked_as_in_a_profile(field: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**{field: text})
    assert refused.value.members["errors"][0]["field"] == field


@given(st.datetimes(EARLIEST.replace(tzinfo=None), NOW.replace(tzinfo=None)))
def test_round_trip(at: datetime) -> None:
    """Exact to the microsecond."""
    row = UserRow(
        phone=PHONE,
        name="Anna",
        email="anna@example.com",
        invite_code="7KQ2MX",
        inviter_code="P0V3RT",
        created_at=at.replace(tzinfo=UTC),
    )
    texts = {name: text or "" for name, text in user_row.to_texts(row).items()}
    assert user_row.parse(texts, rules=PhoneRules(), now=NOW) == row


@pytest.mark.parametrize(
    ("one", "other"),
    [("l87zwp", "187ZWP"), ("0SOO6q", "0s006q"), (" L87-ZUP", "187zvp"), ("ANNA-24", "anna-24")],
)
def test_all_spellings_of_a_code_have_the_same_key(one: str, other: str) -> None:
    assert user_row.code_key(one) == user_row.code_key(other)


@given(st.text(), st.from_regex("[0-9A-HJKMNP-TV-Z]{6}", fullmatch=True))
def test_a_malformed_code_never_has_the_key_of_a_code(text: str, code: str) -> None:
    assert user_row.code_key(code) == code
    if user_row.canonical_code(text) is None:
        assert user_row.code_key(text) != code
