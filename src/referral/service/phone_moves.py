"""Moving an account to another phone: for an operator, and for its owner (profiles.py)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from referral import audit
from referral.context import Actor, Context
from referral.core import phone as phones
from referral.core.errors import PhoneTaken
from referral.service import admins, former_phones, sessions, users
from referral.service.users import UserView
from referral.storage import database, sign_up_grants
from referral.storage import invitations as invitation_queries
from referral.storage import users as user_queries
from referral.storage.models import User


async def move(ctx: Context, user_id: UUID, text: str, *, by: Actor) -> UserView:
    """Move an account to another phone and end its sessions. No message is sent.

    text: the new phone as it was typed.
    Raises NotFound, InvalidPhone, UnsupportedPhone, PhoneTaken, and Forbidden for the last
    administrator.
    """
    phone = phones.parse(text, ctx.phone_rules)

    async def work() -> None:
        await user_queries.lock_admins()
        await invitation_queries.lock(changed=user_id)
        user = await users.require(user_id)
        if user.phone == phone:
            return
        if phone in ctx.test_phones:
            await admins.require_another(ctx, user, by=by)
        await move_in_transaction(ctx, user, phone, now=ctx.clock())
        await sessions.end_all(ctx, user_id, reason="phone_changed")
        await audit.record(ctx, "phone_changed", by=by, user=user_id)

    await database.transaction(work)
    return await users.get(ctx, user_id)


async def move_in_transaction(ctx: Context, user: User, phone: str, *, now: datetime) -> None:
    """Move an account to another phone. Call this under the user's lock. Raises PhoneTaken."""
    await former_phones.remember(ctx, user, now=now)
    if not await user_queries.change_phone(user.id, phone):
        raise PhoneTaken
    # A pending grant was meant for the phone's owner at that time, not for a later one
    for each in filter(None, (user.phone, phone)):
        await user_queries.consume_admin_grant(each)
        await sign_up_grants.consume(each)
