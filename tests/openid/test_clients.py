"""Clients: what may be registered, their secrets, their rotation and their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pages import browsing
from referral.core.errors import InvalidRequest, NotFound
from referral.openid import client_rules, clients
from referral.openid.clients import Registration
from referral.storage import database
from relying_party import CALLBACK, App, claims_of, register
from support import Service, context_of

GIVEN: dict[str, Any] = {"name": "Shop", "redirect_uris": [CALLBACK]}


def field_of(refusal: pytest.ExceptionInfo[InvalidRequest]) -> str:
    field: str = refusal.value.members["errors"][0]["field"]
    return field


async def is_accepted(app: App, secret: str | None) -> bool:
    """Return whether the token endpoint accepts this secret."""
    error = (await App(app.service, app.client_id, secret, CALLBACK).exchange("no")).json()["error"]
    assert error in {"invalid_grant", "invalid_client"}
    return bool(error == "invalid_grant")


async def test_credentials_are_letters_and_digits(service: Service) -> None:
    """Some libraries percent-encode other characters in HTTP Basic and some do not."""
    made = [await register(service) for _ in range(3)]
    for app in made:
        assert app.secret is not None
        assert app.client_id.isalnum()
        assert app.secret.isalnum()
        assert len(app.secret) * 4 == 256
    assert len({app.client_id for app in made} | {app.secret for app in made}) == 6


async def test_no_client_secret_is_stored(service: Service) -> None:
    app = await register(service)
    second = await clients.rotate(context_of(service), app.client_id)
    for table in ("clients", "audit_entries"):
        rows = await database.query(f"SELECT * FROM {table}")  # noqa: S608 - our own names
        assert rows
        for secret in (app.secret, second):
            assert secret is not None
            assert secret not in str(rows)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"name": "Shop\u202e"}, "name"),
        ({"redirect_uris": []}, "redirect_uri"),
        ({"redirect_uris": [CALLBACK, "javascript:alert(1)"]}, "redirect_uri"),
        ({"redirect_uris": [f"{CALLBACK}/{number}" for number in range(21)]}, "redirect_uri"),
        ({"post_logout_redirect_uris": ["http://shop.example/"]}, "post_logout_redirect_uri"),
        ({"audience": "shop"}, "audience"),
        ({"audience": "https://shop.example/ x"}, "audience"),
        ({"is_public": True, "without_pkce": True}, "without_pkce"),
    ],
)
async def test_wrong_registrations_are_refused(
    service: Service, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await clients.create(context_of(service), Registration(**{**GIVEN, **wrong}))
    assert field_of(refusal) == field
    assert await clients.list_all() == []


async def test_no_client_takes_the_services_audience(service: Service) -> None:
    """Otherwise its tokens without the scope `account` would look like the service's own."""
    own = context_of(service).issuer.audience
    with pytest.raises(InvalidRequest) as refusal:
        await register(service, audience=own)
    assert field_of(refusal) == "audience"


async def test_what_is_registered_is_tidied(service: Service) -> None:
    app = await register(service, name="  My   Shop ", redirect_uris=[f" {CALLBACK} ", CALLBACK])
    client = await clients.get("My Shop")
    assert client.id == app.client_id
    assert clients.uris(client.redirect_uris) == [CALLBACK]
    assert clients.uris(client.post_logout_redirect_uris) == []
    assert client.audience is None


async def test_a_name_is_taken_only_once(service: Service) -> None:
    """Also by two at the same time."""
    done = await asyncio.gather(
        *(clients.create(context_of(service), Registration(**GIVEN)) for _ in range(3)),
        return_exceptions=True,
    )
    refusals = [each for each in done if isinstance(each, InvalidRequest)]
    assert len(refusals) == 2
    assert [client.name for client in await clients.list_all()] == ["Shop"]


@pytest.mark.parametrize("text", ["", "nobody", "\0", "Shop\0", "\ud800"])
async def test_there_is_no_such_client(service: Service, text: str) -> None:
    await register(service, name="Shop")
    for attempt in (clients.get(text), clients.delete(context_of(service), text)):
        with pytest.raises(NotFound):
            await attempt


async def test_two_secrets_are_valid_during_a_rotation(service: Service) -> None:
    """A third one ends the oldest."""
    ctx, app = context_of(service), await register(service)
    secrets = [app.secret, *[await clients.rotate(ctx, app.client_id) for _ in range(2)]]
    assert [await is_accepted(app, secret) for secret in secrets] == [False, True, True]
    await clients.finish_rotation(ctx, app.client_id)
    assert [await is_accepted(app, secret) for secret in secrets] == [False, False, True]
    assert not await is_accepted(app, None)
    assert not await is_accepted(app, "")


async def test_rotations_at_the_same_time_lose_no_secret(service: Service) -> None:
    """The two that are printed are the two that are valid."""
    ctx, app = context_of(service), await register(service)
    made = await asyncio.gather(*(clients.rotate(ctx, app.client_id) for _ in range(2)))
    assert [await is_accepted(app, secret) for secret in made] == [True, True]


async def test_a_public_client_sends_no_secret(service: Service) -> None:
    app = await register(service, is_public=True)
    assert app.secret is None
    assert await is_accepted(app, None)
    assert not await is_accepted(app, "a secret")
    for attempt in (clients.rotate, clients.finish_rotation):
        with pytest.raises(InvalidRequest):
            await attempt(context_of(service), app.client_id)


async def test_deleting_a_client_ends_only_its_sessions(service: Service) -> None:
    """An authorization code that it has not exchanged yet is good for nothing."""
    shop, other = await register(service), await register(service)
    async with browsing(service) as browser:
        ended = await shop.tokens(browser, scope="openid offline_access")
        kept = await other.tokens(browser, scope="openid offline_access")
        code = await shop.code(browser)
        deleted = await clients.delete(context_of(service), shop.client_id)
        assert deleted.id == shop.client_id
        assert "Devices" in await browser.see("/me/sessions")
    assert (await shop.exchange(code)).json()["error"] == "invalid_client"
    assert (await shop.refresh(ended["refresh_token"])).json()["error"] == "invalid_client"
    bearer = f"Bearer {ended['access_token']}"
    assert (await service.get("/oauth/userinfo", Authorization=bearer)).status_code == 401
    assert (await other.refresh(kept["refresh_token"])).status_code == 200
    with pytest.raises(NotFound):
        await clients.delete(context_of(service), shop.client_id)


async def test_the_audience_is_that_of_the_client(service: Service) -> None:
    """With scope `account` it is the service's own."""
    app = await register(service, audience="https://b.example", account_allowed=True)
    async with browsing(service) as browser:
        plain = await app.tokens(browser)
        account = await app.tokens(browser, scope="openid account")
    own = context_of(service).issuer.audience
    audiences = [claims_of(each["access_token"])["aud"] for each in (plain, account)]
    assert audiences == ["https://b.example", own]


def test_a_secret_matches_only_its_own_digest() -> None:
    digests = [client_rules.digest("one"), None, client_rules.digest("two")]
    assert client_rules.secret_matches("one", digests)
    assert client_rules.secret_matches("two", digests)
    for wrong in ("", "One", "one ", digests[0] or ""):
        assert not client_rules.secret_matches(wrong, digests)
    assert not client_rules.secret_matches("", [None, None])
