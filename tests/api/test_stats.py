"""Statistics: days, totals, top inviters and the K-factor."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from referral.storage import database, users
from support import Person, Service, ok, refused

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 3)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


async def stats(key: Person, **query: str) -> dict[str, Any]:
    return ok(await key.call("GET", "/stats", params=query))


async def between(key: Person, first: date, last: date) -> dict[str, Any]:
    return await stats(key, **{"from": first.isoformat(), "to": last.isoformat()})


async def signed_up(service: Service, at: datetime, *, inviter: Person | None = None) -> Person:
    """Sign somebody up; date the sign-up and the activation back to `at`."""
    more = {"invite_code": await inviter.invite_code()} if inviter else {}
    person = await service.sign_in(**more)
    await users.set_fields(UUID(person.id()), created_at=at)
    if inviter:
        await users.set_fields(UUID(person.id()), activated_at=at)
    return person


async def test_days_totals_and_k_factor(service: Service) -> None:
    """Three sign up in the period, and two activate the code of one of them, the second later."""
    key = await service.api_key()
    anna = await signed_up(service, NOON)
    boris = await signed_up(service, NOON + 2 * DAY, inviter=anna)
    vera = await signed_up(service, NOON + 2 * DAY)
    late = await signed_up(service, NOON + 9 * DAY, inviter=anna)
    early = await signed_up(service, NOON - 9 * DAY)
    other = await signed_up(service, NOON - 8 * DAY, inviter=early)
    await users.set_fields(UUID(other.id()), activated_at=NOON + DAY)
    await users.set_fields(UUID(vera.id()), is_blocked=True)
    gone = await signed_up(service, NOON, inviter=boris)
    ok(await gone.call("DELETE", "/profile"))
    found = await between(key, FIRST, LAST)
    top = found.pop("top_inviters")
    assert found == {
        "from": "2026-03-01",
        "to": "2026-03-03",
        "totals": {"users": 6, "blocked": 1, "activations": 3, "deleted": 1},
        "sign_ups": 3,
        "activations": 2,
        "opens": 0,
        "k_factor": 2 / 3,
        "opens_per_inviter": 0,
        "sign_ups_per_open": None,
        "days": [
            {"day": "2026-03-01", "sign_ups": 1, "activations": 0, "opens": 0},
            {"day": "2026-03-02", "sign_ups": 0, "activations": 1, "opens": 0},
            {"day": "2026-03-03", "sign_ups": 2, "activations": 1, "opens": 0},
        ],
    }
    assert {each["phone"]: each["activations"] for each in top} == {anna.phone: 1, early.phone: 1}
    ok(await key.call("DELETE", f"/users/{late.id()}/inviter"))
    assert (await between(key, FIRST, LAST))["k_factor"] == 1 / 3


async def test_days_are_utc_to_the_microsecond(service: Service) -> None:
    key, inviter = await service.api_key(), await service.sign_in()
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    for at in (midnight - instant, midnight, midnight + DAY - instant, midnight + DAY):
        await signed_up(service, at, inviter=inviter)
    for what in ("sign_ups", "activations"):
        assert [day[what] for day in (await between(key, FIRST, LAST))["days"]] == [1, 2, 1]
        assert (await between(key, LAST, LAST))[what] == 1


async def test_the_top_ten_inviters(service: Service) -> None:
    key, best = await service.api_key(), await service.sign_in()
    ok(await best.call("PATCH", "/profile", json={"name": "Anna"}))
    for _ in range(2):
        await service.sign_in(invite_code=await best.invite_code())
    for _ in range(10):
        other = await service.sign_in()
        await service.sign_in(invite_code=await other.invite_code())
    top = (await stats(key))["top_inviters"]
    assert len(top) == 10
    assert top[0] == {
        "id": best.id(),
        "phone": best.phone,
        "name": "Anna",
        "invite_code": await best.invite_code(),
        "activations": 2,
    }
    ok(await key.call("DELETE", f"/users/{best.id()}"))
    assert best.id() not in {inviter["id"] for inviter in (await stats(key))["top_inviters"]}


async def test_the_default_period_is_30_days(service: Service) -> None:
    key = await service.api_key()
    await service.sign_in()
    today = service.clock().date()
    found = await stats(key)
    first = (today - 29 * DAY).isoformat()
    assert (found["from"], found["to"]) == (first, today.isoformat())
    assert len(found["days"]) == 30
    assert found["days"][-1]["sign_ups"] == 1
    assert (await stats(key, to="2026-03-30"))["from"] == "2026-03-01"
    assert (await stats(key, **{"from": today.isoformat()}))["to"] == today.isoformat()


async def test_an_empty_service(service: Service) -> None:
    found = await stats(await service.api_key())
    assert (found["sign_ups"], found["k_factor"], found["top_inviters"]) == (0, None, [])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "20260301"}, "from"),
        ({"from": "2026-W01-1"}, "from"),
        ({"from": "2026-03-01T00:00:00Z"}, "from"),
        ({"from": ""}, "from"),
        ({"to": "x"}, "to"),
        ({"to": "2026-3-1"}, "to"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"from": "2025-01-01", "to": "2026-01-02"}, "from"),
        ({"from": "0001-01-01"}, "from"),
    ],
)
async def test_invalid_days(service: Service, query: dict[str, str], field: str) -> None:
    key = await service.api_key()
    response = await key.call("GET", "/stats", params=query)
    errors = refused(response, 400, "invalid_request")["errors"]
    assert [error["field"] for error in errors] == [field]


async def test_the_limits_of_the_calendar(service: Service) -> None:
    key = await service.api_key()
    assert (await stats(key, to="0001-01-05"))["from"] == "0001-01-01"
    assert len((await between(key, date.max, date.max))["days"]) == 1
    assert len((await between(key, date(2024, 1, 1), date(2024, 12, 31)))["days"]) == 366


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_times_with_another_offset_count_in_utc(service: Service) -> None:
    """SQLite stores a time as another program may have written it."""
    key, person = await service.api_key(), await service.sign_in()
    await database.query(
        "UPDATE users SET created_at = '2026-03-03 01:00:00+02:00' WHERE phone = $1", person.phone
    )
    found = await between(key, FIRST, LAST)
    assert [day["sign_ups"] for day in found["days"]] == [0, 1, 0]
