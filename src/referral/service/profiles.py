"""A user's own profile."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from referral.context import Actor, Caller, Context
from referral.core import profile_fields
from referral.core.errors import ChallengeInvalid, Unauthorized
from referral.core.keys import Purpose
from referral.limits import guesses
from referral.messaging import messages
from referral.messaging.gateways import Message
from referral.service import (
    access,
    admins,
    audit,
    codes,
    deletion,
    invitations,
    phone_moves,
    proofs,
    sessions,
)
from referral.service.access import Authenticated
from referral.service.codes import SentCode
from referral.storage import invitations as stored_invitations
from referral.storage import profiles as stored_profiles
from referral.storage import sessions as stored_sessions
from referral.storage import users


class Profile(Struct, frozen=True, kw_only=True):
    """A user, as they see themselves."""

    id: Annotated[
        str,
        Meta(
            description="The `sub` of the user's access tokens.",
            examples=["9b2d3c1e-4f5a-4e6b-8c7d-0a1b2c3d4e5f"],
        ),
    ]
    phone: Annotated[str, Meta(description="E.164", examples=["+79991234567"])]
    name: Annotated[str | None, Meta(examples=["Anna"])]
    email: Annotated[str | None, Meta(examples=["anna@example.com"])]
    invite_code: Annotated[str, Meta(description="To give to others.", examples=["7KQ2MX"])]
    invite_link: Annotated[str, Meta(examples=["http://127.0.0.1:8000/i/7KQ2MX"])]
    activated_invite_code: Annotated[
        str | None,
        Meta(description="The code of the person who invited this user.", examples=["P0V3RT"]),
    ]
    invitees: Annotated[
        list[str],
        Meta(
            description="Phones of those who activated this user's code: the newest 100 at most.",
            examples=[["+79990000002"]],
        ),
    ]
    invitee_count: Annotated[int, Meta(description="All of them.", examples=[1])]
    created_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


async def read(ctx: Context, access_token: str) -> Profile:
    """The profile of whom an access token stands for: `access.authenticate` and `get` in one
    statement. Raises Unauthorized, AccountBlocked.
    """
    now = ctx.clock()
    session_id = access.verify_access(ctx, access_token, now=now)
    found = await stored_profiles.find_by_session(session_id)
    if found is None:
        raise Unauthorized(reason="session ended")
    access.require_good(
        ctx,
        signed_in_at=found["signed_in_at"],
        last_used_at=found["last_used_at"],
        is_blocked=found["is_blocked"],
        proof=found["proof"],
        phone=found["phone"],
        now=now,
    )
    return view(ctx, found)


async def get(ctx: Context, user_id: UUID) -> Profile:
    """The profile as it stands. Raises Unauthorized where the account was deleted just now."""
    return view(ctx, await stored_profiles.find(user_id))


def view(ctx: Context, found: stored_profiles.ProfileRow) -> Profile:
    """The profile of what the database has. Raises Unauthorized where the account is deleted."""
    phone, newest = found["phone"], found["newest"]
    if phone is None:
        raise Unauthorized(reason="account deleted")
    return Profile(
        id=str(found["id"]),
        phone=phone,
        name=found["name"],
        email=found["email"],
        invite_code=found["invite_code"],
        invite_link=invitations.invite_link(ctx, found["invite_code"]),
        activated_invite_code=found["activated_invite_code"],
        invitees=newest.split(",") if newest else [],
        invitee_count=found["invitee_count"],
        created_at=found["created_at"],
    )


async def change(
    ctx: Context,
    signed_in: Authenticated,
    *,
    name: str | UnsetType | None = UNSET,
    email: str | UnsetType | None = UNSET,
) -> Profile:
    """Set what is given; None clears it. Raises InvalidRequest."""
    values: dict[str, str | None] = {}
    if name is not UNSET:
        values["name"] = None if name is None else profile_fields.parse_name(name)
    if email is not UNSET:
        values["email"] = None if email is None else profile_fields.parse_email(email)
    if values and not await users.set_fields(signed_in.user.id, **values):
        raise Unauthorized(reason="account deleted")
    return await get(ctx, signed_in.user.id)


async def delete(ctx: Context, signed_in: Authenticated, *, caller: Caller) -> None:
    """Delete the account, see deletion.py. Raises SignInAgain, Forbidden."""
    access.require_fresh(ctx, signed_in)
    user_id = signed_in.user.id
    await deletion.delete(
        ctx,
        user_id,
        by=Actor.user(user_id, caller),
        still=lambda: _require_session(signed_in),
    )


async def send_phone_code(
    ctx: Context, signed_in: Authenticated, *, phone: str, caller: Caller
) -> SentCode:
    """Send a code to the phone this user wants to change to.

    Raises SignInAgain, InvalidPhone, UnsupportedPhone, SmsUnavailable.
    """
    access.require_fresh(ctx, signed_in)
    return await codes.send(
        ctx,
        text=phone,
        purpose=Purpose.CHANGE_PHONE,
        caller=caller,
        user_id=str(signed_in.user.id),
    )


async def change_phone(
    ctx: Context, signed_in: Authenticated, *, token: str, code: str, caller: Caller
) -> tuple[Profile, Message | None]:
    """Move the account to the challenge's phone and end all other sessions.

    Answers the profile and a message for the old phone, for the caller to send.
    Raises SignInAgain, ChallengeInvalid, ChallengeExpired, ChallengeSpent, WrongCode,
    TooManyAttempts, PhoneTaken.
    """
    access.require_fresh(ctx, signed_in)
    now, user_id = ctx.clock(), signed_in.user.id
    challenge = proofs.open_challenge(ctx, token, purpose=Purpose.CHANGE_PHONE, now=now)
    if challenge.user_id != str(user_id):
        raise ChallengeInvalid(reason="another user's")

    async def work() -> str | None:
        to_test_phone = challenge.phone in ctx.test_phones
        if to_test_phone:
            await users.lock_admins()
        await stored_invitations.lock(changed=user_id)
        await _require_session(signed_in)
        user = await users.get(user_id)
        if user.phone == challenge.phone or user.phone is None:
            return None
        by = Actor.user(user_id, caller)
        if to_test_phone:
            await admins.require_another(ctx, user, by=by)
        await phone_moves.move_within(ctx, user, challenge.phone, now=now)
        await sessions.end_everywhere(user_id, but=signed_in.session_id)
        await stored_sessions.set_proof(signed_in.session_id, challenge.proof)
        await audit.record(ctx, "phone_changed", by=by, user=user_id)
        return user.phone

    old_phone = await guesses.redeem(ctx, challenge, code, work, caller=caller)
    profile = await get(ctx, user_id)
    # To a test phone nothing is sent
    if old_phone is None or ctx.fixed_code(old_phone) is not None:
        return profile, None
    return profile, messages.account_moved(ctx, old_phone, caller=caller)


async def _require_session(signed_in: Authenticated) -> None:
    """Once more under the lock: a session that was ended meanwhile moves no account."""
    if await stored_sessions.find(signed_in.session_id) is None:
        raise Unauthorized(reason="session ended")
