"""The kept keyring: loaded, and sealed anew after a rotation, when the service starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from referral.core import ids, kept
from referral.core.keys import Keyring
from referral.service import outcomes
from referral.storage import database
from referral.storage import kept as stored


async def load(keys: Keyring, *, now: datetime, token_bytes: Callable[[int], bytes]) -> Keyring:
    """The keyring of the kept secrets that the listed secrets open; a new one where none does.

    What does not open stays: it opens again as soon as its secret is listed again.
    """

    async def work() -> list[bytes]:
        await database.lock_all(database.Lock.KEPT_SECRETS)
        rows = await stored.all_sealed()
        opened = [(row, kept.unwrap(row.sealed, keys=keys)) for row in rows]
        await stored.replace(
            (row.id, kept.wrap(secret, keys=keys))
            for row, secret in opened
            if secret is not None and not kept.is_current(row.sealed, keys=keys)
        )
        secrets = [secret for _, secret in opened if secret is not None]
        if not secrets:
            if rows:
                outcomes.kept_secrets_closed()
            secrets = [token_bytes(kept.SECRET_BYTES)]
            await stored.add(ids.new(token_bytes), kept.wrap(secrets[0], keys=keys), now=now)
        return secrets

    return Keyring(await database.transaction(work))
