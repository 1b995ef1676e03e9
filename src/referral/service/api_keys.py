"""API keys, which programs administer with."""

from __future__ import annotations

from referral.context import COMMAND, Actor, Context
from referral.core import api_key
from referral.core.errors import InvalidRequest, NotFound
from referral.service import audit
from referral.storage import api_keys, database
from referral.storage.models import ApiKey


async def make(ctx: Context, name: str, *, by: Actor = COMMAND) -> str:
    """A new key: told once, kept as a digest. Raises InvalidRequest."""
    name = api_key.parse_name(name)
    key = api_key.new(ctx.token_bytes)

    async def work() -> None:
        if not await api_keys.add(name, api_key.digest(key), now=ctx.clock()):
            raise InvalidRequest.field("name", "There is a key of this name. Take another name.")
        await audit.record(ctx, "api_key_made", by=by, key=name)

    await database.transaction(work)
    return key


async def all_keys() -> list[ApiKey]:
    """Names and ages; what they are nobody can tell any more."""
    return await api_keys.all_keys()


async def revoke(ctx: Context, name: str, *, by: Actor = COMMAND) -> None:
    """End a key, at once. Raises NotFound, and InvalidRequest for a name that no key can have."""
    name = api_key.parse_name(name)

    async def work() -> None:
        if not await api_keys.remove(name):
            raise NotFound("There is no key of this name: see `referral key list`.")
        await audit.record(ctx, "api_key_revoked", by=by, key=name)

    await database.transaction(work)
