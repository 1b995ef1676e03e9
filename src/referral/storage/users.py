"""Queries about users."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.expressions import F

from referral.storage.models import AdminGrant, User


async def get(user_id: UUID) -> User:
    return await User.get(id=user_id)


async def find_by_phone(phone: str) -> User | None:
    return await User.get_or_none(phone=phone)


async def find_by_invite_code(code: str) -> User | None:
    """Whose code it is, deleted users too: nobody else ever gets it."""
    return await User.get_or_none(invite_code=code)


async def add(user: User) -> bool:
    """Insert a user; False, and nothing done, where the phone or the invite code is taken."""
    await User.bulk_create([user], ignore_conflicts=True)
    return await User.exists(id=user.id)


async def set_fields(user_id: UUID, **values: object) -> bool:
    """Set columns of a user; False, and nothing done, where it is deleted by now."""
    return bool(await User.filter(id=user_id, deleted_at__isnull=True).update(**values))


async def mark_signed_in(user_id: UUID, *, phone: str, now: datetime) -> bool:
    """False, and nothing done, where the user is deleted or has another phone by now."""
    rows = User.filter(id=user_id, phone=phone, deleted_at__isnull=True)
    return bool(await rows.update(last_sign_in_at=now))


async def change_invitee_count(user_id: UUID, by: int) -> None:
    await User.filter(id=user_id).update(invitee_count=F("invitee_count") + by)


async def grant_admin(phone: str) -> bool:
    """Make this phone's user an administrator; False where that waits for the first sign-in."""
    if await User.filter(phone=phone).update(is_admin=True):
        return True
    await AdminGrant.bulk_create([AdminGrant(phone=phone)], ignore_conflicts=True)
    return False


async def revoke_admin(phone: str) -> bool:
    """Take it back, waiting grants too; False where there was nothing to take."""
    revoked = await User.filter(phone=phone, is_admin=True).update(is_admin=False)
    return bool(revoked + await AdminGrant.filter(phone=phone).delete())


async def take_admin_grant(phone: str) -> bool:
    """Whether a grant waited for this phone; it does not any more."""
    return bool(await AdminGrant.filter(phone=phone).delete())


async def get_with_inviter(user_id: UUID) -> User:
    return await User.get(id=user_id).select_related("inviter")


async def move_to_phone(user_id: UUID, phone: str) -> bool:
    """Change the phone; False, and the transaction is lost, where another user has it."""
    try:
        await User.filter(id=user_id).update(phone=phone, inviter_sees_phone=False)
    except IntegrityError:
        return False
    return True
