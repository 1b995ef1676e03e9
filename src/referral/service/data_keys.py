"""The kept keyring: loaded, and sealed anew after a rotation, when the service starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from referral import observability
from referral.core import data_keys, ids
from referral.core.keys import Keyring
from referral.storage import data_keys as stored
from referral.storage import database


async def load(keys: Keyring, *, now: datetime, token_bytes: Callable[[int], bytes]) -> Keyring:
    """The keyring of the kept secrets that the listed secrets open; a new one where none does.

    What does not open stays: it opens again as soon as its secret is listed again.
    """

    async def work() -> list[bytes]:
        await database.lock_all(database.Lock.KEPT_SECRETS)
        rows = await stored.all_sealed()
        opened = [(row, data_keys.unwrap(row.sealed, keys=keys)) for row in rows]
        await stored.replace(
            (row.id, data_keys.wrap(secret, keys=keys))
            for row, secret in opened
            if secret is not None and not data_keys.is_current(row.sealed, keys=keys)
        )
        secrets = [secret for _, secret in opened if secret is not None]
        if not secrets:
            if rows:
                observability.kept_secrets_closed()
            secrets = [token_bytes(data_keys.SECRET_BYTES)]
            await stored.add(ids.new(token_bytes), data_keys.wrap(secrets[0], keys=keys), now=now)
        return secrets

    return Keyring(await database.transaction(work))
