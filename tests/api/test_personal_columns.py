"""Every column is classified as personal or not, and deletion leaves nothing personal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tortoise import Tortoise
from tortoise.models import Model

from referral.storage import configuration, database
from support import Person, Service, ok

# Every column that is not in a model's PERSONAL: ids, digests, times, counts, states
IMPERSONAL = {
    "users": """
        id invite_code inviter_id activated_at inviter_sees_phone invitee_count places_taken
        voided_at is_admin is_blocked
        created_at last_sign_in_at deleted_at
    """,
    "device_generations": "user_id generation",
    "sessions": """
        id user_id family_digest refresh_digest proof late_repeats_tat created_at
        last_used_at client_id scopes authenticated_at expires_at address_digest
    """,
    "clients": """
        id name redirect_uris post_logout_redirect_uris is_public requires_pkce account_allowed
        audience secret_digest previous_secret_digest created_at
    """,
    "signing_keys": "id encrypted signs_from",
    "counters": "key tat",
    "past_activations": "phone_digest expires_at",
    "admitted_phones": "id phone_digest inviter_id takes_place expires_at",
    "sign_up_grants": "",
    "activations": "id user_id inviter_id made_at voided_at is_repeat flags",
    "invite_opens": "id user_id day number",
    "reward_rules": ("name trigger beneficiary unit occurs invitees version created_at deleted_at"),
    "reward_rule_versions": """
        id rule version amount min_value cap_per_month cap_total hold_days review starts_at ends_at
        created_at
    """,
    "reward_events": (
        "id digest type user_id activation_id occurred_at created_at reversed_at reason"
    ),
    "counted_events": "id event_id rule version activation_id occurred_at stands",
    "qualifiers": "id rule user_id activation_id",
    "reward_totals": "id rule user_id period amount qualifiers",
    "reward_entries": """
        id kind user_id unit amount cause created_at available_at review reversed_at reverses_id
        announcement_id rule version subject attempt event_id made_by about_user_id activation_id
        milestone
    """,
    "milestone_invitees": "id entry_id activation_id",
    "reward_balances": "id user_id unit amount",
    "redemptions": "id digest entry_id user_id reversed_at",
    "admin_grants": "",
    "data_keys": "id encrypted created_at",
    "api_keys": "name digest events_only created_at",
    "audit_entries": "id at action actor user_id",
    "traffic_counts": "key hour sends sign_ins",
    "delivery_counts": "key hour sent delivered used seconds",
    "leases": "name holder expires_at",
    "outbox": (
        "sequence id type user_id data at next_attempt_at attempts first_attempt_at error"
        " finished_at"
    ),
    "endpoint_states": "name failing_since failures next_attempt_at error failed_at",
}


def tables() -> dict[str, type[Model]]:
    """Return the models by table name."""
    assert Tortoise.apps is not None
    models: Any = Tortoise.apps[configuration.APP].values()
    return {model.describe()["table"]: model for model in models}


def columns_of(model: type[Model]) -> set[str]:
    described = model.describe()
    return {each["db_column"] for each in [described["pk_field"], *described["data_fields"]]}


def personal(model: type[Model]) -> frozenset[str]:
    """Return the columns that the model lists as personal."""
    found: frozenset[str] = getattr(model, "PERSONAL", frozenset())
    return found


async def test_every_column_is_classified(service: Service) -> None:
    """A new column fails here until it is classified."""
    assert service.app is not None
    found = tables()
    assert IMPERSONAL.keys() <= found.keys()
    for name, model in found.items():
        assert columns_of(model) >= personal(model)
        different = columns_of(model) - personal(model) ^ set(IMPERSONAL.get(name, "").split())
        assert not different, (
            f"{name}: add to PERSONAL in models.py or to IMPERSONAL here, or remove: {different}"
        )


@pytest.mark.parametrize("by", ["its owner", "an API key"])
async def test_a_deletion_leaves_nothing_personal(service: Service, by: str) -> None:
    """Each personal column gets a canary value, which must be gone afterwards."""
    person = await _with_a_past(service)
    canaries = {person.phone}
    for name, model in tables().items():
        # The phone joins the tables, so it keeps its value
        for column in personal(model) - {"phone"}:
            canaries.add(canary := f"{name[:6]}-{column[:8]}"[:16])
            await database.query(f"UPDATE {name} SET {column} = $1", canary)  # noqa: S608 - ours
    for grants in ("admin_grants", "sign_up_grants"):
        await database.query(f"INSERT INTO {grants} (phone) VALUES ($1)", person.phone)  # noqa: S608 - ours
    before = await dump()
    assert {canary for canary in canaries if canary in before} == canaries
    if by == "its owner":
        ok(await person.call("DELETE", "/profile", headers={"User-Agent": "agent-of-the-end"}))
    else:
        key = await service.api_key()
        ok(await key.call("DELETE", f"/users/{person.id()}"))
        # The address of the API key's request is not the user's
        await database.query("UPDATE audit_entries SET address = NULL WHERE actor LIKE 'key:%'")
    after = await dump()
    assert {canary for canary in canaries if canary in after} == set()
    rows = await database.query("SELECT address FROM audit_entries WHERE address IS NOT NULL")
    assert rows == []


async def test_addresses_of_other_users_actions_stay(service: Service) -> None:
    """A deletion clears only the addresses of the deleted user's own actions."""
    admin, other = await service.sign_in_admin(), await service.sign_in_admin()
    person = await service.sign_in()
    for is_blocked in (True, False):
        for each in (admin, other):
            ok(await each.call("PATCH", f"/users/{person.id()}", json={"is_blocked": is_blocked}))
    ok(await admin.call("DELETE", "/profile"))
    rows = await database.query("SELECT actor, address FROM audit_entries WHERE actor <> 'command'")
    gone = f"user:{admin.id()}"
    assert gone in {row["actor"] for row in rows}
    assert [row["address"] is None for row in rows] == [row["actor"] == gone for row in rows]


async def _with_a_past(service: Service) -> Person:
    """Return a person with a row in each table about people, the only user."""
    person = await service.sign_in()
    profile = {"name": "Anna", "email": "anna@example.com"}
    ok(await person.call("PATCH", "/profile", json=profile))
    return await service.sign_in_again(person)


async def dump() -> str:
    """Return every row of every table as text."""
    rows = [await database.query(f"SELECT * FROM {name}") for name in tables()]  # noqa: S608 - ours
    return json.dumps(rows, default=str)
