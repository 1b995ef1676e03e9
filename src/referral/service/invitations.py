"""Who invited whom.

A user activates one invite code in a life, so the links from users to their inviters form a
forest, and whoever activates is the root of a tree. A loop can only come into being when a root
activates a code from its own tree. So an activation locks two users besides the inviter: the one
who activates and the root above the inviter, which must not activate anything itself meanwhile.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from referral.context import Actor, Caller, Context
from referral.core import cursor as cursors
from referral.core import invite_code as invite_codes
from referral.core import profile_fields, seal
from referral.core.errors import (
    InvalidRequest,
    InviteAlreadyActivated,
    InviteLoop,
    NotFound,
    OwnInviteCode,
    Refusal,
    Unauthorized,
    UnknownInviteCode,
)
from referral.core.keys import Purpose
from referral.limits import invite_code_tries
from referral.service import access, audit
from referral.service.access import Authenticated
from referral.storage import database, invitations, users
from referral.storage.models import User
from referral.webhooks.events import Activation

# How long a phone whose user was deleted, or took another phone, cannot activate a code
PHONE_REMEMBERED = timedelta(days=365)


class Invitation(Struct, frozen=True, kw_only=True):
    """What anybody who has an invite code may know of it."""

    invite_code: Annotated[str, Meta(examples=["7KQ2MX"])]
    inviter_name: Annotated[
        str | None,
        Meta(
            description="Null if there is none, or if it looks like an address on the web.",
            examples=["Anna"],
        ),
    ]


class Invitee(Struct, frozen=True, kw_only=True):
    """Somebody who activated this user's code."""

    phone: Annotated[
        str | None,
        Meta(description="E.164; null when they changed it since.", examples=["+79990000002"]),
    ]
    activated_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


class InviteePage(Struct, frozen=True, kw_only=True):
    items: list[Invitee]
    next_cursor: str | None


def invite_link(ctx: Context, invite_code: str) -> str:
    """Where a user sends people."""
    return ctx.invite_url.replace("{code}", invite_code)


async def look_up(ctx: Context, text: str, *, caller: Caller) -> Invitation:
    """What a landing page shows. Raises UnknownInviteCode, TooManyRequests."""
    inviter = await invite_code_tries.take(ctx, lambda: _find_inviter(ctx, text), caller=caller)
    return Invitation(
        invite_code=inviter.invite_code, inviter_name=profile_fields.public_name(inviter.name)
    )


async def activate(ctx: Context, signed_in: Authenticated, text: str, *, caller: Caller) -> None:
    """Make the owner of an invite code this user's inviter. The same code again is no error.

    Raises InvalidRequest for an empty text, UnknownInviteCode, OwnInviteCode,
    InviteAlreadyActivated, InviteLoop, TooManyRequests, and Unauthorized where the account was
    deleted just now.
    """
    if not text.strip():
        raise InvalidRequest.field("invite_code", "Give an invite code.")
    now, user_id = ctx.clock(), signed_in.user.id

    async def work() -> None:
        if activation := await activate_within(ctx, user_id, text, now=now):
            by = Actor.user(user_id, caller)
            await audit.record(ctx, "invite_activated", by=by, user=user_id, activation=activation)

    async def look_up() -> None:
        await _find_inviter(ctx, text, of=await users.get(user_id))

    await invite_code_tries.take(ctx, look_up, caller=caller, counted_by=str(user_id))
    await database.transaction(work)


async def try_within(ctx: Context, phone: str, text: str, *, caller: Caller) -> Refusal | None:
    """Try an invite code in the transaction of a right guess at a sign-in code.

    The try counts for the phone's user or, if it has none yet, for the phone. Returns
    UnknownInviteCode or TooManyRequests, to be raised once the charge is committed.
    """
    user = await users.find_by_phone(phone)
    return await invite_code_tries.take_within(
        ctx,
        lambda: _find_inviter(ctx, text, of=user),
        caller=caller,
        counted_by=str(user.id) if user else phone,
    )


async def activate_within(
    ctx: Context, user_id: UUID, text: str, *, now: datetime
) -> Activation | None:
    """As `activate`, inside a transaction under way; None where it was activated before."""
    user = await users.get(user_id)
    if user.deleted_at is not None:
        raise Unauthorized(reason="account deleted")
    inviter = await _find_inviter(ctx, text, of=user)
    if user.inviter_id == inviter.id:
        return None
    if inviter.id == user_id:
        raise OwnInviteCode
    if user.inviter_id is not None:
        raise InviteAlreadyActivated
    digests = _phone_digests(ctx, user.phone or "")
    if await invitations.has_past_activation(digests, now=now):
        if (await users.get(user_id)).phone != user.phone:
            raise database.Conflict  # it left this very account, a moment ago
        raise InviteAlreadyActivated(
            "This phone belonged to another account in the last year, so it cannot activate an "
            "invite code. Go on without one.",
            reason="the phone left an earlier account",
        )
    root = await invitations.find_root(inviter.id)
    if root == user_id:
        raise InviteLoop
    await invitations.lock(changed=user_id, kept=(root, inviter.id))
    count = await invitations.link(user, inviter.id, root=root, now=now)
    if count is None:
        raise database.Conflict
    return Activation(inviter.id, inviter.invite_code, count)


async def void(ctx: Context, user_id: UUID, *, by: Actor) -> None:
    """Undo a user's activation, as if it had never been: they may activate again.

    A deleted user's too, who no longer counts as anybody's invitee. Raises SignInAgain, NotFound.
    """
    access.require_fresh(ctx, by)

    async def work() -> None:
        user = (await users.find_all([user_id])).get(user_id)
        if user is None:
            raise NotFound("There is no user of this id.", reason="no such user")
        if user.inviter_id is None:
            raise NotFound("This user has activated no invite code.")
        # Taking a link away makes no loop. Those that activate below this user meanwhile meet its
        # own next activation at the locks of both.
        await invitations.lock(changed=user_id, kept=(user.inviter_id,))
        count = await invitations.unlink(user, user.inviter_id)
        if count is None:
            raise database.Conflict
        if user.phone is not None:
            await invitations.delete_past_activations(_phone_digests(ctx, user.phone))
        inviter = await users.get(user.inviter_id)
        voided = Activation(inviter.id, inviter.invite_code, count)
        await audit.record(ctx, "invite_voided", by=by, user=user_id, activation=voided)

    await database.transaction(work)


async def page(signed_in: Authenticated, *, cursor: str | None, limit: int) -> InviteePage:
    """Those who activated this user's code, newest first. Raises InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    rows, next_cursor = await invitations.page(signed_in.user.id, after=after, limit=limit)
    return InviteePage(
        items=[
            Invitee(
                phone=row["phone"] if row["inviter_sees_phone"] else None,
                activated_at=row["activated_at"],
            )
            for row in rows
        ],
        next_cursor=next_cursor,
    )


async def leave_phone(ctx: Context, user: User, *, now: datetime) -> None:
    """Remember a phone whose user is deleted or takes another: for a year it activates nothing.

    Whether it had activated a code does not matter: otherwise an account that was deleted could
    sign up again as somebody's new invitee.
    """
    if user.phone is not None:
        (digest, *_) = _phone_digests(ctx, user.phone)
        await invitations.record_past_activation(digest, until=now + PHONE_REMEMBERED)


async def _find_inviter(ctx: Context, text: str, *, of: User | None = None) -> User:
    """The user whose invite code `text` spells. Raises UnknownInviteCode.

    A deleted or a blocked user's code counts as unknown, but for the invitee who has activated it.
    """
    inviter = await users.find_by_invite_code(invite_codes.parse(text, ctx.invite_url))
    if inviter is None:
        raise UnknownInviteCode(reason="unknown")
    if of is None or of.inviter_id != inviter.id:
        if inviter.deleted_at is not None:
            raise UnknownInviteCode(reason="deleted")
        if inviter.is_blocked:
            raise UnknownInviteCode(reason="blocked")
    return inviter


def _phone_digests(ctx: Context, phone: str) -> list[str]:
    return [
        seal.base64url_encode(hmac.digest(key.secret, phone.encode(), "sha256"))
        for key in ctx.data_keys.all(Purpose.ACTIVATION)
    ]
