"""Queries for clients and signing keys, and the locks of an exchange."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from referral.openid import client_rules
from referral.storage import database
from referral.storage.models import Client, SigningKey

_LOCK_CLIENT = "SELECT 1 FROM clients WHERE id = $1{strength}"
_LOCK_USER = "SELECT 1 FROM users WHERE id = $1 AND deleted_at IS NULL{strength}"
_LOCK_DEVICE_GENERATION = """
    INSERT INTO device_generations (user_id, generation) VALUES ($1, 0)
    ON CONFLICT (user_id) DO UPDATE SET generation = device_generations.generation
"""


async def add_client(client: Client) -> bool:
    """Add a client. Return False if there is one with this name already."""
    await Client.bulk_create([client], ignore_conflicts=True)
    return await Client.exists(id=client.id)


async def find_client(client_id: str) -> Client | None:
    """Return a client. client_id: any text."""
    if not client_rules.is_id(client_id):
        return None
    return await Client.get_or_none(id=client_id)


async def find_client_by_name(name: str) -> Client | None:
    """Return a client. name: any printable text."""
    if len(name) > client_rules.MAX_NAME_LENGTH:
        return None
    return await Client.get_or_none(name=name)


async def all_clients() -> list[Client]:
    """Return every client, the oldest first."""
    return await Client.all().order_by("created_at", "name")


async def public_redirect_uris() -> list[str]:
    """Return the redirect URIs of each public client, one on each line of a text."""
    rows = await database.query("SELECT redirect_uris FROM clients WHERE is_public")
    return [row["redirect_uris"] for row in rows]


async def set_secrets(client_id: str, *, current: str, previous: str | None) -> None:
    """Set a client's secrets. current, previous: their digests."""
    await Client.filter(id=client_id).update(secret_digest=current, previous_secret_digest=previous)


async def remove_client(client_id: str) -> None:
    await Client.filter(id=client_id).delete()


async def lock_client(client_id: str, *, to_change: bool = False) -> bool:
    """Lock a client until the transaction ends. Return False if there is none.

    Transactions that begin the client's sessions may hold the lock together. to_change: hold it
    without any other, to change or delete the client.
    """
    return await _lock(_LOCK_CLIENT, client_id, "FOR UPDATE" if to_change else "FOR SHARE")


async def lock_user(user_id: UUID) -> bool:
    """Lock a user until the transaction ends. Return False if there is none."""
    return await _lock(_LOCK_USER, user_id, "FOR UPDATE")


async def lock_device_generation(user_id: UUID) -> None:
    """Keep other transactions from revoking a user's device tokens until this one ends.

    They do that before they end all sessions, so they will see a session that this one adds.
    """
    # SQLite has one writer at a time
    if database.is_postgres():
        await database.query(_LOCK_DEVICE_GENERATION, user_id)


async def all_signing_keys() -> list[SigningKey]:
    """Return every signing key, the newest first."""
    return await SigningKey.all().order_by("-signs_from", "id")


async def add_signing_key(key: SigningKey) -> None:
    await SigningKey.bulk_create([key])


async def remove_signing_keys(ids: Collection[str]) -> None:
    if ids:
        await SigningKey.filter(id__in=list(ids)).delete()


async def _lock(sql: str, value: object, strength: str) -> bool:
    # SQLite has one writer at a time, from the beginning of its transaction
    strength = f" {strength}" if database.is_postgres() else ""
    return bool(await database.query(sql.format(strength=strength), value))
