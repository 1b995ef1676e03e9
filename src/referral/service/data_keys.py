"""Loading the data keys when the service starts, and re-encrypting them after a rotation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from referral import observability
from referral.core import data_keys, ids
from referral.core.keys import Keyring
from referral.storage import data_keys as data_key_queries
from referral.storage import database


async def load(keys: Keyring, *, now: datetime, token_bytes: Callable[[int], bytes]) -> Keyring:
    """Return a keyring of the data keys that the secrets in REFERRAL_SECRET decrypt.

    If they decrypt none, a new data key is created. Data keys that cannot be decrypted stay in the
    database; they work again once their secret is listed again.
    """

    async def work() -> list[bytes]:
        await database.advisory_lock(database.Lock.DATA_KEYS)
        rows = await data_key_queries.all_encrypted()
        decrypted = [(row, data_keys.decrypt(row.encrypted, keys=keys)) for row in rows]
        await data_key_queries.replace(
            (row.id, data_keys.encrypt(secret, keys=keys))
            for row, secret in decrypted
            if secret is not None and not data_keys.is_current(row.encrypted, keys=keys)
        )
        secrets = [secret for _, secret in decrypted if secret is not None]
        if not secrets:
            if rows:
                observability.data_keys_unreadable()
            secrets = [token_bytes(data_keys.DATA_KEY_BYTES)]
            await data_key_queries.add(
                ids.new(token_bytes), data_keys.encrypt(secrets[0], keys=keys), now=now
            )
        return secrets

    return Keyring(await database.transaction(work))
