"""Moving an account to another phone: what its owner and an administrator have in common."""

from __future__ import annotations

from datetime import datetime

from referral.context import Context
from referral.core.errors import PhoneTaken
from referral.service import invitations
from referral.storage import users
from referral.storage.models import User


async def move_within(ctx: Context, user: User, phone: str, *, now: datetime) -> None:
    """Move an account under the locks of a transaction under way. Raises PhoneTaken."""
    await invitations.leave_phone(ctx, user, now=now)
    if not await users.move_to_phone(user.id, phone):
        raise PhoneTaken
    # A grant that waits is for whoever has the phone now, not for whoever gets it next
    for each in filter(None, (user.phone, phone)):
        await users.take_admin_grant(each)
