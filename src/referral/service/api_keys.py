"""API keys, with which programs use the administration API."""

from __future__ import annotations

from referral import audit
from referral.context import COMMAND, Actor, Context
from referral.core import api_key
from referral.core.errors import InvalidRequest, NotFound
from referral.storage import api_keys as api_key_queries
from referral.storage import database
from referral.storage.models import ApiKey


async def create(ctx: Context, name: str, *, events_only: bool = False, by: Actor = COMMAND) -> str:
    """Create a key and return it. Only its digest is stored. Raises InvalidRequest.

    events_only: for a shop's backend, whether it opens only events, redemptions and their
    reversals.
    """
    name = api_key.parse_name(name)
    key = api_key.new(ctx.token_bytes)
    digest, now = api_key.digest(key), ctx.clock()

    async def work() -> None:
        if not await api_key_queries.add(name, digest, events_only=events_only, now=now):
            raise InvalidRequest.field(
                "name", "There is a key with this name already. Choose another name."
            )
        await audit.record(ctx, "api_key_made", by=by, key=name, events_only=events_only)

    await database.transaction(work)
    return key


async def list_all() -> list[ApiKey]:
    """Return all keys: names, what they open, creation times. The secrets are not stored."""
    return await api_key_queries.all_keys()


async def revoke(ctx: Context, name: str, *, by: Actor = COMMAND) -> None:
    """Revoke a key; it stops working immediately.

    Raises NotFound, and InvalidRequest for a name that no key can have.
    """
    name = api_key.parse_name(name)

    async def work() -> None:
        if not await api_key_queries.remove(name):
            raise NotFound("There is no key with this name: see `referral key list`.")
        await audit.record(ctx, "api_key_revoked", by=by, key=name)

    await database.transaction(work)
