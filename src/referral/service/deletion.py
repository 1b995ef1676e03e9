"""Deleting an account, by its owner or by who administers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from referral.context import Actor, Context
from referral.core.errors import NotFound
from referral.service import admins, audit, invitations, sessions
from referral.storage import audit as stored_audit
from referral.storage import database, users
from referral.storage import invitations as stored_invitations


async def delete(
    ctx: Context,
    user_id: UUID,
    *,
    by: Actor,
    still: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Phone and personal data go, the invite code is retired.

    still: raises, under the locks, where it may not be done any more.
    Raises NotFound, and Forbidden for the last administrator.
    """
    now = ctx.clock()

    async def work() -> None:
        await users.lock_admins()
        await stored_invitations.lock(changed=user_id)
        if still is not None:
            await still()
        user = await users.find(user_id)
        if user is None:
            raise NotFound("There is no user of this id.", reason="no such user")
        await admins.require_another(ctx, user, by=by)
        await invitations.leave_phone(ctx, user, now=now)
        if user.phone is not None:
            await users.take_admin_grant(user.phone)
        await sessions.end_everywhere(user_id)
        await users.erase(user_id, now=now)
        if user.inviter_id is not None:
            await users.change_invitee_count(user.inviter_id, -1)
        await audit.record(ctx, "account_deleted", by=by, user=user_id)
        # The address of that entry too, if it is the user's own
        await stored_audit.erase(user_id)

    await database.transaction(work)
