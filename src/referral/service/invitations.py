"""Invitations: looking up, activating and voiding invite codes.

A user activates one invite code in a lifetime, so the links from users to their inviters form a
forest, and a user who may still activate is the root of a tree. A loop can arise only if a root
activates a code from its own tree. So an activation locks two users besides the inviter: the user
who activates, and the root above the inviter, which must not activate anything meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from referral import audit
from referral.context import Actor, Caller, Context
from referral.core import cursor as cursors
from referral.core import invite_code as invite_codes
from referral.core import phone as phones
from referral.core import profile_fields
from referral.core.errors import (
    ActivationTooLate,
    InvalidRequest,
    InviteAlreadyActivated,
    InviteLoop,
    NotFound,
    OwnInviteCode,
    Refusal,
    Unauthorized,
    UnknownInviteCode,
)
from referral.limits import invite_code_tries
from referral.rewards import activations
from referral.rewards.flags import Origin
from referral.service import access, former_phones, places, users
from referral.service.access import Authenticated
from referral.storage import database
from referral.storage import invitations as invitation_queries
from referral.storage import users as user_queries
from referral.storage.models import User
from referral.webhooks.events import InviteChange


class Invitation(Struct, frozen=True, kw_only=True):
    """The public part of an invitation."""

    invite_code: Annotated[str, Meta(examples=["7KQ2MX"])]
    inviter_name: Annotated[
        str | None,
        Meta(
            description="Null if there is none, or if it looks like a web address.",
            examples=["Anna"],
        ),
    ]


class Invitee(Struct, frozen=True, kw_only=True):
    """A user who activated this user's invite code."""

    phone: Annotated[
        str | None,
        Meta(
            description=(
                "E.164, or with `REFERRAL_INVITEE_SHOWN=masked` only its country code and last two "
                "digits, `+7********67`. Null if it has changed since."
            ),
            examples=["+79990000002"],
        ),
    ]
    activated_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


class InviteePage(Struct, frozen=True, kw_only=True):
    items: list[Invitee]
    next_cursor: str | None


def invite_link(ctx: Context, invite_code: str) -> str:
    """Return the link with which a user invites others."""
    return ctx.invite_url.replace("{code}", invite_code)


def shown_phone(ctx: Context, phone: str) -> str:
    """Return an invitee's phone as their inviter sees it."""
    return phones.mask(phone) if ctx.masks_invitees else phone


async def look_up(ctx: Context, text: str, *, caller: Caller) -> Invitation:
    """Look up an invite code for a landing page.

    text: the invite code or link as it was typed or pasted.
    Raises UnknownInviteCode, TooManyRequests.
    """
    inviter = await invite_code_tries.attempt(ctx, lambda: _find_inviter(ctx, text), caller=caller)
    return Invitation(
        invite_code=inviter.invite_code, inviter_name=profile_fields.public_name(inviter.name)
    )


async def activate(ctx: Context, signed_in: Authenticated, text: str, *, caller: Caller) -> None:
    """Make the owner of an invite code this user's inviter. The same code again is not an error.

    text: the invite code or link as it was typed or pasted.
    Raises InvalidRequest for an empty text, UnknownInviteCode, OwnInviteCode,
    InviteAlreadyActivated, ActivationTooLate, InviteLoop, InvitesUsedUp, TooManyRequests, and
    Unauthorized if the account was deleted just now.
    """
    if not text.strip():
        raise InvalidRequest.field("invite_code", "Give an invite code.")
    now, user_id = ctx.clock(), signed_in.user.id

    async def work() -> None:
        if activation := await activate_in_transaction(ctx, user_id, text, now=now):
            by = Actor.user(user_id, caller)
            await audit.record(ctx, "invite_activated", by=by, user=user_id, activation=activation)
            origin = Origin(caller.address)
            await activations.made(ctx, user_id, activation.inviter_id, origin=origin, now=now)

    async def check() -> None:
        await _find_inviter(ctx, text, invitee=await user_queries.get(user_id))

    await invite_code_tries.attempt(ctx, check, caller=caller, counted_by=str(user_id))
    await database.transaction(work)


async def try_in_transaction(
    ctx: Context, phone: str, text: str, *, user: User | None, caller: Caller
) -> Refusal | None:
    """Check and charge an invite code, in the transaction of a right guess at a sign-in code.

    user: the phone's. The charge counts for them or, if there is none yet, for the phone. Return
    UnknownInviteCode or TooManyRequests for the caller to raise once the charge is committed, or
    None.
    """
    return await invite_code_tries.attempt_in_transaction(
        ctx,
        lambda: _find_inviter(ctx, text, invitee=user),
        caller=caller,
        counted_by=str(user.id) if user else phone,
    )


async def activate_in_transaction(
    ctx: Context, user_id: UUID, text: str, *, now: datetime, is_invitation: bool = False
) -> InviteChange | None:
    """Activate an invite code in the caller's transaction.

    The caller then records it, and calls `rewards.activations.made`.

    is_invitation: whether this new user could not have signed up without the code. A phone that may
    not activate it is then admitted all the same.

    Return None if nothing was activated: this user has activated the same code before, or is only
    admitted. Raises UnknownInviteCode, OwnInviteCode, InviteAlreadyActivated, ActivationTooLate,
    InviteLoop, InvitesUsedUp, Unauthorized if the user is deleted, and Conflict if another
    transaction has interfered.
    """
    user = await user_queries.get(user_id)
    if user.deleted_at is not None:
        raise Unauthorized(reason="account deleted")
    inviter = await _find_inviter(ctx, text, invitee=user)
    if user.inviter_id == inviter.id:
        return None
    if inviter.id == user_id:
        raise OwnInviteCode
    if user.inviter_id is not None:
        raise InviteAlreadyActivated
    phone = user.phone or ""
    if await former_phones.has_left(ctx, phone, now=now):
        if (await user_queries.get(user_id)).phone != user.phone:
            raise database.Conflict  # the phone left this account just now
        if is_invitation:
            await places.admit(ctx, inviter, phone, now=now)
            return None
        raise InviteAlreadyActivated(
            "This phone belonged to another account in the last year, so it cannot activate an "
            "invite code. Continue without one.",
            reason="the phone left an earlier account",
        )
    if not ctx.sign_up.may_activate(since=user.voided_at or user.created_at, now=now):
        raise ActivationTooLate
    return await _link(ctx, user, inviter, now=now)


async def void(ctx: Context, user_id: UUID, *, by: Actor) -> None:
    """Undo a user's activation, so that they may activate again.

    Also works for a deleted user, who no longer counts as an invitee.
    Raises SignInAgain, NotFound.
    """
    access.require_fresh(ctx, by)
    now = ctx.clock()

    async def work() -> None:
        user = await users.require(user_id, include_deleted=True)
        if user.inviter_id is None:
            raise NotFound("This user has not activated an invite code.")
        # Removing a link cannot close a loop. Nor can this user's next activation together with one
        # below this user that is under way: the locks that both take serialise them.
        await invitation_queries.lock(changed=user_id, kept=(user.inviter_id,))
        activation = await activations.present(user_id)
        count = await invitation_queries.unlink(user, user.inviter_id, now=now)
        if count is None:
            raise database.Conflict
        if user.phone is not None:
            await former_phones.forget_activation(ctx, user.phone)
        inviter = await user_queries.get(user.inviter_id)
        voided = InviteChange(inviter.id, inviter.invite_code, count)
        await audit.record(ctx, "invite_voided", by=by, user=user_id, activation=voided)
        if activation is not None:
            await activations.voided(ctx, activation, now=now)

    await database.transaction(work)


async def page(
    ctx: Context, signed_in: Authenticated, *, cursor: str | None, limit: int
) -> InviteePage:
    """Return a page of this user's invitees, newest first. Raises InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    rows, next_cursor = await invitation_queries.page(signed_in.user.id, after=after, limit=limit)
    return InviteePage(items=[shown_invitee(ctx, row) for row in rows], next_cursor=next_cursor)


def shown_invitee(ctx: Context, row: Mapping[str, Any]) -> Invitee:
    """Return an invitee's row of `storage.invitations.page` as their inviter sees it."""
    sees_phone = row["inviter_sees_phone"] and row["phone"]
    return Invitee(
        phone=shown_phone(ctx, row["phone"]) if sees_phone else None,
        activated_at=row["activated_at"],
    )


async def _link(ctx: Context, user: User, inviter: User, *, now: datetime) -> InviteChange:
    """Make a user an invitee. Raises InviteLoop, InvitesUsedUp, Conflict."""
    root = await invitation_queries.find_root(inviter.id)
    if root == user.id:
        raise InviteLoop
    await invitation_queries.lock(changed=user.id, kept=(root, inviter.id))
    await places.prepare(ctx, inviter)
    if not await invitation_queries.link(user, inviter.id, root=root, now=now):
        raise database.Conflict
    count = await places.take(ctx, inviter, user.phone or "")
    return InviteChange(inviter.id, inviter.invite_code, count)


async def _find_inviter(ctx: Context, text: str, *, invitee: User | None = None) -> User:
    """Return the user with this invite code. Raises UnknownInviteCode.

    The code of a deleted or blocked user counts as unknown, except for an invitee of that user.
    """
    inviter = await user_queries.find_by_invite_code(invite_codes.parse(text, ctx.invite_url))
    if inviter is None:
        raise UnknownInviteCode(reason="unknown")
    if invitee is None or invitee.inviter_id != inviter.id:
        if inviter.deleted_at is not None:
            raise UnknownInviteCode(reason="deleted")
        if inviter.is_blocked:
            raise UnknownInviteCode(reason="blocked")
    return inviter
