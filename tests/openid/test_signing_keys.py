"""The key pairs of ID tokens: made once, rotated with overlap, stored encrypted."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import httpx
import pytest
from jwcrypto.jwk import JWKSet
from jwcrypto.jwt import JWT

from locks import on_postgres, other_connection, wait_for_blocked
from pages import browsing, signed_in
from processes import new_database, referral, serving
from referral.openid import signing_keys
from referral.storage import database
from relying_party import register
from support import SECRET, Service, context_of, running

OLD = "the old secret of the tests with 32 bytes or more 012345"
NEW = "the new secret of the tests with 32 bytes or more 678901"
JWKS = "/.well-known/jwks.json"


async def published(service: Service) -> list[str]:
    """Return the ids of the published RSA keys, in their order."""
    return rsa_keys((await service.get(JWKS)).json())


def rsa_keys(document: dict[str, Any]) -> list[str]:
    return [key["kid"] for key in document["keys"] if key["alg"] == "RS256"]


def kid_of(token: str) -> str:
    header: dict[str, str] = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    return header["kid"]


async def new_id_token(service: Service) -> str:
    """Sign a new person in, and return the ID token."""
    async with browsing(service) as browser:
        tokens = await (await register(service)).tokens(browser)
    token: str = tokens["id_token"]
    return token


async def verify(token: str, service: Service) -> None:
    """Verify an ID token with the published keys, as an app does with another library."""
    keys = JWKSet.from_json((await service.get(JWKS)).text)
    JWT(jwt=token, key=keys, expected_type="JWS")


async def test_the_first_key_is_made_once(database_url: str) -> None:
    """It stays the same after a restart, and ID tokens are signed with it."""
    async with running(database_url) as service:
        [kid] = await published(service)
        token = await new_id_token(service)
        assert kid_of(token) == kid
        await verify(token, service)
        [key] = [key for key in (await service.get(JWKS)).json()["keys"] if key["kid"] == kid]
        assert key.keys() == {"kty", "kid", "alg", "use", "n", "e"}
    async with running(database_url) as service:
        assert await published(service) == [kid]
        await verify(token, service)


async def test_two_processes_make_one_key(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = await new_database(database_kind, tmp_path, request)
    on = {"DATABASE_URL": url, "REFERRAL_SECRET": SECRET}
    with serving(tmp_path, **on) as one, serving(tmp_path, **on) as two:
        async with httpx.AsyncClient() as http:
            urls = [f"{server.url}{JWKS}" for server in (one, two) for _ in range(3)]
            found = await asyncio.gather(*(http.get(each) for each in urls))
    kids = {tuple(rsa_keys(each.json())) for each in found}
    assert len(kids) == 1
    assert len(*kids) == 1


@on_postgres
async def test_two_that_find_no_key_make_one(service: Service, database_url: str) -> None:
    """Both have read that there is none, and made a key pair, before either adds it."""
    ctx = context_of(service)
    async with (
        other_connection(database_url) as other,
        asyncio.TaskGroup() as group,
        other.transaction(),
    ):
        # Others can read, and wait before they write
        await other.execute("LOCK TABLE signing_keys IN SHARE MODE")
        # Each `SigningKeys` is what a process knows
        tasks = [group.create_task(signing_keys.SigningKeys().published(ctx)) for _ in range(2)]
        await wait_for_blocked(other, number=2)
    assert len({key.kid for task in tasks for key in task.result()}) == 1


async def test_the_key_survives_a_rotation_of_the_secret(database_url: str) -> None:
    async with running(database_url, REFERRAL_SECRET=OLD) as service:
        [kid] = await published(service)
        token = await new_id_token(service)
    # The start re-encrypts the data keys
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}") as service:
        assert await published(service) == [kid]
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        assert await published(service) == [kid]
        await verify(token, service)
        assert kid_of(await new_id_token(service)) == kid


async def test_a_lost_secret_makes_another_key(database_url: str) -> None:
    """Nobody can sign with the old one any more."""
    async with running(database_url, REFERRAL_SECRET=OLD) as service:
        [old] = await published(service)
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        [new] = await published(service)
        assert new != old
        await verify(await new_id_token(service), service)


async def test_no_private_key_is_stored_readable(service: Service) -> None:
    ctx = context_of(service)
    key = json.loads((await ctx.signing_keys.current(ctx)).private)
    rows = str(await database.query("SELECT * FROM signing_keys"))
    assert key["kid"] in rows
    for part in ("d", "p", "q", "dp", "dq", "qi"):
        assert key[part] not in rows
        # Base64, which the rows consist of, has no quotation marks
        assert f'"{part}"' not in rows


async def test_a_new_key_is_published_before_it_signs(service: Service) -> None:
    """10 minutes before, longer than apps keep the list and processes the keys."""
    [old] = await published(service)
    signs_from = await signing_keys.rotate(context_of(service))
    assert signing_keys.PUBLISHED_BEFORE.total_seconds() == 600
    new, same = await published(service)
    assert same == old
    assert new != old
    max_age = (await service.get(JWKS)).headers["cache-control"]
    assert max_age == "max-age=300, public"
    service.clock.move(minutes=9, seconds=50)
    assert service.clock() < signs_from
    early = await new_id_token(service)
    assert kid_of(early) == old
    service.clock.move(seconds=10)
    assert service.clock() >= signs_from
    late = await new_id_token(service)
    assert kid_of(late) == new
    for token in (early, late):
        await verify(token, service)


async def test_old_id_tokens_are_still_hints(service: Service) -> None:
    """Also after they have expired."""
    app = await register(service)
    async with signed_in(service) as browser:
        token = (await app.tokens(browser))["id_token"]
        await signing_keys.rotate(context_of(service))
        service.clock.move(minutes=20)
        answer = await app.callback(browser, prompt="none", id_token_hint=token)
        assert "code" in answer
        newer = await app.exchange(answer["code"])
        assert kid_of(newer.json()["id_token"]) != kid_of(token)


async def test_keys_that_no_session_needs_are_removed(service: Service) -> None:
    ctx = context_of(service)
    [first] = await published(service)
    await signing_keys.rotate(ctx)
    second, _ = await published(service)
    service.clock.move(days=ctx.limits.session_max_days, minutes=9)
    await signing_keys.rotate(ctx)
    assert first in await published(service)
    service.clock.move(minutes=2)
    await signing_keys.rotate(ctx)
    left = await published(service)
    assert len(left) == 3
    assert first not in left
    assert second in left


async def test_a_command_rotates_for_running_processes(
    service: Service, database_url: str, tmp_path: Path
) -> None:
    [old] = await published(service)
    on = {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}
    rotated = referral(tmp_path, "signing-key", "rotate", **on)
    assert rotated.returncode == 0, rotated.stderr
    # As each process does by itself within a minute
    context_of(service).signing_keys.invalidate()
    new, same = await published(service)
    assert same == old
    assert new != old
