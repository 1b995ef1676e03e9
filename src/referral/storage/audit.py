"""Queries about the audit trail."""

from __future__ import annotations

from datetime import datetime

from referral.storage import database

_FORGET_ADDRESSES = """
    UPDATE audit_entries SET address = NULL WHERE id IN (
        SELECT id FROM audit_entries WHERE at < $1 AND address IS NOT NULL LIMIT $2
    )
    RETURNING id
"""


async def forget_addresses(*, before: datetime, most: int) -> int:
    """Clear the addresses of old entries; answers how many, `most` at a time."""
    return len(await database.query(_FORGET_ADDRESSES, before, most))
