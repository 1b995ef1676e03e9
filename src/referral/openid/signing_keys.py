"""The key pairs that sign ID tokens.

The first one is made when it is first needed. They are stored encrypted by a data key, so they
survive a rotation of `REFERRAL_SECRET`. A new one is published before it signs, so that every app
has read it by then. The earlier ones stay published while an app may still send an ID token that
they signed.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from time import monotonic

from msgspec import Struct

from referral import audit, observability
from referral.context import COMMAND, Actor, Context
from referral.core import seal
from referral.core.keys import Purpose
from referral.core.seal import RsaKey
from referral.openid import queries
from referral.storage import database
from referral.storage.models import SigningKey

# How long a new key pair is published before it signs. Apps may cache the published keys for 5
# minutes, and each process of ours reads the key pairs again every minute
PUBLISHED_BEFORE = timedelta(minutes=10)

_READ_AGAIN_SECONDS = 60
_KID_BYTES = 9
_MAX_ENCRYPTED_LENGTH = 8192


class _DatedKey(Struct, frozen=True):
    """A key pair, and when it begins to sign."""

    signs_from: datetime
    key: RsaKey


class SigningKeys:
    """The key pairs as this process last read them."""

    def __init__(self) -> None:
        self._keys: list[_DatedKey] = []
        self._read_at = -float(_READ_AGAIN_SECONDS)

    async def published(self, ctx: Context) -> list[RsaKey]:
        """Return all key pairs, the newest first. If there is none, make the first one."""
        if monotonic() - self._read_at >= _READ_AGAIN_SECONDS:
            try:
                self._keys = await _load(ctx) or await _create_first(ctx)
            except database.Unavailable:
                # Once read, the keys stay available while the database is not
                if not self._keys:
                    raise
            self._read_at = monotonic()
        return [each.key for each in self._keys]

    async def current(self, ctx: Context) -> RsaKey:
        """Return the key pair that signs."""
        await self.published(ctx)
        now = ctx.clock()
        signing = [each.key for each in self._keys if each.signs_from <= now]
        # The oldest one, if this process's clock is behind that of the process that made it
        return signing[0] if signing else self._keys[-1].key

    def invalidate(self) -> None:
        """Read the key pairs again when they are next needed."""
        self._read_at = -float(_READ_AGAIN_SECONDS)


async def rotate(ctx: Context, *, by: Actor = COMMAND) -> datetime:
    """Make a new key pair and return when it begins to sign.

    Remove the key pairs whose ID tokens all belong to sessions that have expired.
    """
    now = ctx.clock()
    signs_from = now + PUBLISHED_BEFORE
    key = await _generate(ctx)

    async def work() -> None:
        await database.advisory_lock(database.Lock.SIGNING_KEYS)
        stored = await queries.all_signing_keys()
        oldest = now - timedelta(days=ctx.limits.session_max_days)
        # A key pair signs until the next newer one begins
        ends = [each.signs_from for each in stored]
        await queries.remove_signing_keys(
            [each.id for each, end in zip(stored[1:], ends, strict=False) if end < oldest]
        )
        await queries.add_signing_key(_encrypted(ctx, key, signs_from))
        await audit.record(ctx, "signing_key_rotated", by=by)

    await database.transaction(work)
    ctx.signing_keys.invalidate()
    return signs_from


async def _load(ctx: Context) -> list[_DatedKey]:
    stored = await queries.all_signing_keys()
    keys = [
        _DatedKey(each.signs_from, key)
        for each in stored
        if (key := _decrypted(ctx, each)) is not None
    ]
    if stored and not keys:
        observability.data_keys_unreadable()
    return keys


async def _create_first(ctx: Context) -> list[_DatedKey]:
    key, now = await _generate(ctx), ctx.clock()

    async def work() -> list[_DatedKey]:
        await database.advisory_lock(database.Lock.SIGNING_KEYS)
        # Another process may have made one meanwhile
        if keys := await _load(ctx):
            return keys
        await queries.add_signing_key(_encrypted(ctx, key, now))
        return [_DatedKey(now, key)]

    return await database.transaction(work)


async def _generate(ctx: Context) -> RsaKey:
    kid = seal.base64url_encode(ctx.token_bytes(_KID_BYTES))
    # In a thread, since it takes a tenth of a second
    return await asyncio.to_thread(seal.new_rsa_key, kid)


def _encrypted(ctx: Context, key: RsaKey, signs_from: datetime) -> SigningKey:
    encrypting = ctx.data_keys.current(Purpose.SIGNING_KEY)
    return SigningKey(
        id=key.kid,
        encrypted=seal.encrypt(key.private, encrypting, padded_to=None),
        signs_from=signs_from,
    )


def _decrypted(ctx: Context, stored: SigningKey) -> RsaKey | None:
    """Return a stored key pair; None if none of the data keys encrypted it."""
    try:
        private = seal.decrypt(
            stored.encrypted,
            ctx.data_keys.all(Purpose.SIGNING_KEY),
            max_length=_MAX_ENCRYPTED_LENGTH,
        )
    except seal.BadToken:
        return None
    return seal.load_rsa_key(stored.id, private)
