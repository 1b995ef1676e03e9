"""Queries for grants of sign-up: phones that need no invitation."""

from __future__ import annotations

from referral.storage.models import AdminGrant, SignUpGrant


async def add(phone: str) -> None:
    await SignUpGrant.bulk_create([SignUpGrant(phone=phone)], ignore_conflicts=True)


async def is_named(phone: str) -> bool:
    """Return whether the operator has named this phone, as a user or as an administrator."""
    return await SignUpGrant.exists(phone=phone) or await AdminGrant.exists(phone=phone)


async def consume(phone: str) -> None:
    """Delete the grant for this phone, if there is one."""
    await SignUpGrant.filter(phone=phone).delete()


async def any_named() -> bool:
    """Return whether any phone has been named that has not signed up yet."""
    return await SignUpGrant.exists() or await AdminGrant.exists()
