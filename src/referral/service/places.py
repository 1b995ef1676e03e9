"""Places: how many people an invite code admits, by sign-up or later activation."""

from __future__ import annotations

from datetime import datetime

from referral.context import Context
from referral.core.errors import InvitesUsedUp
from referral.service import former_phones
from referral.storage import database
from referral.storage import places as place_queries
from referral.storage import users as user_queries
from referral.storage.models import User


async def prepare(ctx: Context, inviter: User) -> None:
    """Count the places of an inviter if they are limited and have not been counted yet.

    Call it before the invitee is linked, so that the invitee is not among them.
    """
    if ctx.sign_up.invites_per_user and inviter.places_taken is None:
        await place_queries.count(inviter.id)


async def take(ctx: Context, inviter: User, phone: str) -> int:
    """Take a place for a user who is linked to the inviter now; return the count of invitees.

    Of a phone that the inviter's code has admitted before, the place becomes the invitee's.
    Raises InvitesUsedUp.
    """
    had_place = await place_queries.release_phone(inviter.id, former_phones.digests(ctx, phone))
    count = await place_queries.add_invitee(
        inviter.id, places=0 if had_place else 1, limit=ctx.sign_up.invites_per_user
    )
    if count is None:
        raise InvitesUsedUp
    return count


async def admit(ctx: Context, inviter: User, phone: str, *, now: datetime) -> None:
    """Admit a new user who may not activate the inviter's code. Their phone takes one place.

    Raises InvitesUsedUp, and Conflict if the inviter was deleted or blocked just now.
    """
    digests = former_phones.digests(ctx, phone)
    await prepare(ctx, inviter)
    has_place = await place_queries.has_admitted(inviter.id, digests, now=now)
    if not await place_queries.admit(
        inviter.id, places=0 if has_place else 1, limit=ctx.sign_up.invites_per_user
    ):
        present = await user_queries.get(inviter.id)
        if present.deleted_at is not None or present.is_blocked:
            raise database.Conflict
        raise InvitesUsedUp
    until = now + former_phones.REMEMBER_FOR
    await place_queries.renew_phones(digests, until=until)
    if not has_place:
        await place_queries.remember_phone(digests[0], inviter.id, takes_place=True, until=until)


async def left(ctx: Context, user: User) -> int | None:
    """Return how many more people this user's code may admit; None if there is no limit."""
    limit = ctx.sign_up.invites_per_user
    return max(0, limit - await place_queries.taken(user.id)) if limit else None


async def are_used_up(ctx: Context, invite_code: str) -> bool:
    """Return whether an invite code can admit nobody any more."""
    if not ctx.sign_up.invites_per_user:
        return False
    inviter = await user_queries.find_by_invite_code(invite_code)
    if inviter is None:
        return False
    # Invitees who are not deleted have a place each, and their number is known
    if not ctx.sign_up.has_place(inviter.invitee_count):
        return True
    return not ctx.sign_up.has_place(await place_queries.taken(inviter.id))
