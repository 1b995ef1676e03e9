"""Deleting an account, by its owner or by an administrator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from referral import audit
from referral.context import Actor, Context
from referral.rewards import activations
from referral.service import access, admins, former_phones, sessions, users
from referral.storage import audit as audit_queries
from referral.storage import database, sign_up_grants
from referral.storage import invitations as invitation_queries
from referral.storage import users as user_queries


async def delete(
    ctx: Context,
    user_id: UUID,
    *,
    by: Actor,
    precondition: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Delete a user's phone and personal data, and retire the invite code.

    precondition: called under the locks; raises an exception if the deletion is no longer allowed.
    Raises SignInAgain, NotFound, and Forbidden for the last administrator.
    """
    access.require_fresh(ctx, by)
    now = ctx.clock()

    async def work() -> None:
        await user_queries.lock_admins()
        await invitation_queries.lock(changed=user_id)
        if precondition is not None:
            await precondition()
        user = await users.require(user_id)
        await admins.require_another(ctx, user, by=by)
        await former_phones.remember(ctx, user, now=now)
        if user.phone is not None:
            await user_queries.consume_admin_grant(user.phone)
            await sign_up_grants.consume(user.phone)
        await sessions.end_all(ctx, user_id, reason="deleted")
        await user_queries.erase(user_id, now=now)
        if user.inviter_id is not None:
            await user_queries.change_invitee_count(user.inviter_id, -1)
        await activations.deleted(ctx, user_id, now=now)
        await audit.record(ctx, "account_deleted", by=by, user=user_id)
        # After the entry above, so that its address is cleared too if the user is its actor
        await audit_queries.erase(user_id)

    await database.transaction(work)
