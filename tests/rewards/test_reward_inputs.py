"""What programs send wrongly to the operations of rewards, and rows that earlier versions left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from referral.rewards import entry_queries
from referral.storage import database
from referral.storage.models import RewardEntry
from rewards import Shop, open_shop
from support import Service, ok, refused


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


@pytest.mark.parametrize("text", ["a%00b", "%FF", "activation%2F1", "x" * 200])
async def test_an_id_that_cannot_be_is_not_found(shop: Shop, text: str) -> None:
    """Also with U+0000, which PostgreSQL does not take."""
    for path in (f"/events/{text}/reverse", f"/redemptions/{text}/reverse"):
        body: dict[str, Any] = {"json": {}} if "events" in path else {}
        refused(await shop.key.call("POST", path, **body), 404, "not_found")
    refused(await shop.key.call("DELETE", f"/reward-rules/{text}"), 404, "not_found")


@pytest.mark.parametrize(
    "fields",
    [
        *({"value": value} for value in (1.0, True, "3", -1, 10**15 + 1, 10**30)),
        *({"event_id": value} for value in (3, "..", "a/b", "a\0", "x" * 129)),
        *({"occurred_at": value} for value in ("2026-01-01T00:00:00", 5, "0001-01-01T00:00:00Z")),
        *({"type": value} for value in ("activated", "a b", "", None)),
        {"user_id": None},
        {"more": 1},
    ],
    ids=repr,
)
async def test_an_event_of_wrong_form_is_refused(shop: Shop, fields: dict[str, Any]) -> None:
    person = await shop.service.sign_in()
    body = {"event_id": f"order{shop.tag}", "type": "purchase", "user_id": person.id()}
    response = await shop.key.call("POST", "/events", json={**body, **fields})
    refused(response, 400, "invalid_request")


@pytest.mark.parametrize(
    "occurs",
    [
        *("at", "", None, 3, [], {}, {"more": 1}, {"at": 1, "each": 1}),
        *({"at": number} for number in (0, 1001, 10**30, True, 1.0, "1", None)),
    ],
    ids=repr,
)
async def test_a_rule_of_wrong_form_is_refused(shop: Shop, occurs: Any) -> None:
    refused(await shop.put_rule(occurs=occurs), 400, "invalid_request")


async def test_an_unknown_field_is_told_what_is_known(shop: Shop) -> None:
    body = refused(await shop.put_rule(begins="2026-01-01T00:00:00Z"), 400, "invalid_request")
    assert "review, from, until." in body["errors"][0]["message"]


async def test_a_rule_may_be_for_all_time(shop: Shop) -> None:
    """The extreme times are infinite for PostgreSQL, so they are kept as others."""
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"
    rule = await shop.rule(**{"from": first, "until": last})
    assert (rule["from"], rule["until"]) == ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
    assert (await shop.put_rule(**{"from": first, "until": last})).json() == rule
    _, invitee = await shop.invite()
    assert len(await shop.event("order-1", invitee)) == 1
    assert rule in ok(await shop.call("GET", "/reward-rules"))["items"]


async def test_activations_that_an_earlier_version_voided(shop: Shop) -> None:
    """During an upgrade it leaves their rows as they are; the present inviter earns."""
    await shop.rule()
    _, invitee = await shop.invite()
    await database.query(
        "UPDATE users SET inviter_id = NULL, activated_at = NULL WHERE id = $1", invitee.id()
    )
    assert await shop.event("order-1", invitee) == []
    present = await shop.service.sign_in()
    ok(await invitee.activate(await present.invite_code()))
    (entry,) = await shop.event("order-2", invitee)
    assert entry["user_id"] == present.id()
    await shop.void(invitee)
    assert await shop.balance(present) == (0, 0)


@pytest.mark.usefixtures("service")
async def test_flags_of_more_entries_than_a_statement_takes() -> None:
    """As when somebody with so many pending entries deletes the account."""
    entries = [
        RewardEntry(id=UUID(int=number), activation_id=-number, milestone=number % 2 or None)
        for number in range(1, 80_000)
    ]
    assert await entry_queries.flags(entries) == {}


async def test_an_event_is_at_most_90_days_old(shop: Shop) -> None:
    """And never more than a minute ahead."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    shop.service.clock.freeze(now)
    person = await shop.service.sign_in()
    for number, (bound, beyond) in enumerate(
        [(-timedelta(days=90), -timedelta(seconds=1)), (timedelta(minutes=1), timedelta(seconds=1))]
    ):
        allowed, refused_at = (now + bound).isoformat(), (now + bound + beyond).isoformat()
        response = await shop.post_event(f"order-{number}", person, occurred_at=refused_at)
        refused(response, 400, "invalid_request")
        assert await shop.event(f"order-{number}", person, occurred_at=allowed) == []


@pytest.mark.parametrize(
    "fields",
    [{"hold_days": 91}, {"hold_days": -1}, {"trigger": "x" * 65}, {"unit": "x"}, {"unit": "x_"}],
    ids=repr,
)
async def test_fields_of_a_rule_have_bounds(shop: Shop, fields: dict[str, Any]) -> None:
    given = {"trigger": "a", "beneficiary": "inviter", "amount": 1, "unit": "ab", **fields}
    response = await shop.key.call("PUT", f"/reward-rules/r{shop.tag}", json=given)
    refused(response, 400, "invalid_request")
