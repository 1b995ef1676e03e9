"""The kept keyring: loaded, and encrypted anew after a rotation, when the service starts."""

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
        await database.advisory_lock(database.Lock.DATA_KEYS)
        rows = await stored.all_encrypted()
        opened = [(row, data_keys.decrypt(row.encrypted, keys=keys)) for row in rows]
        await stored.replace(
            (row.id, data_keys.encrypt(secret, keys=keys))
            for row, secret in opened
            if secret is not None and not data_keys.is_current(row.encrypted, keys=keys)
        )
        secrets = [secret for _, secret in opened if secret is not None]
        if not secrets:
            if rows:
                observability.data_keys_unreadable()
            secrets = [token_bytes(data_keys.DATA_KEY_BYTES)]
            await stored.add(
                ids.new(token_bytes), data_keys.encrypt(secrets[0], keys=keys), now=now
            )
        return secrets

    return Keyring(await database.transaction(work))
