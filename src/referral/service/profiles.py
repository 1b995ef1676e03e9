"""A user's own profile."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from referral import audit
from referral.context import Actor, Caller, Context
from referral.core.errors import ChallengeInvalid, Unauthorized
from referral.core.keys import Purpose
from referral.core.profile_fields import PARSERS
from referral.limits import guesses
from referral.messaging import messages
from referral.messaging.gateways import Message
from referral.service import (
    access,
    admins,
    codes,
    deletion,
    invitations,
    phone_moves,
    proofs,
    sessions,
)
from referral.service.access import Authenticated
from referral.service.codes import DEFAULT_OPTIONS, SendOptions, SentCode
from referral.storage import invitations as invitation_queries
from referral.storage import profiles as profile_queries
from referral.storage import sessions as session_queries
from referral.storage import users as user_queries


class Profile(Struct, frozen=True, kw_only=True):
    """A profile, as shown to its user."""

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
    invite_code: Annotated[
        str, Meta(description="The code to invite others with.", examples=["7KQ2MX"])
    ]
    invite_link: Annotated[str, Meta(examples=["http://127.0.0.1:8000/i/7KQ2MX"])]
    activated_invite_code: Annotated[
        str | None,
        Meta(description="The invite code of this user's inviter.", examples=["P0V3RT"]),
    ]
    invitees: Annotated[
        list[str],
        Meta(
            description=(
                "Phones of the newest invitees, at most 100. With `REFERRAL_INVITEE_SHOWN=masked` "
                "only the country code and the last two digits, `+7********67`."
            ),
            examples=[["+79990000002"]],
        ),
    ]
    invitee_count: Annotated[int, Meta(description="The number of all invitees.", examples=[1])]
    invite_opens: Annotated[
        int,
        Meta(
            description=(
                "How often the page `/i/{invite_code}` was opened, each reload included, bots and "
                "previews of messengers not. A few seconds old."
            ),
            examples=[3],
        ),
    ]
    created_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]


async def read(ctx: Context, access_token: str) -> Profile:
    """Return the profile of an access token's user.

    Equivalent to `access.authenticate` and `get`, but with one SQL statement.
    Raises Unauthorized, AccountBlocked, Forbidden.
    """
    now = ctx.clock()
    claims = access.verify_access(ctx, access_token, now=now)
    row = await profile_queries.find_by_session(claims.sid)
    if row is None:
        raise Unauthorized(reason="session ended")
    access.require_valid(
        ctx,
        signed_in_at=row["signed_in_at"],
        last_used_at=row["last_used_at"],
        is_blocked=row["is_blocked"],
        proof=row["proof"],
        phone=row["phone"],
        now=now,
    )
    return from_row(ctx, row)


async def get(ctx: Context, user_id: UUID) -> Profile:
    """Return a user's profile. Raises Unauthorized if the account was deleted just now."""
    return from_row(ctx, await profile_queries.find(user_id))


def from_row(ctx: Context, row: profile_queries.ProfileRow) -> Profile:
    """Build a profile from its row. Raises Unauthorized if the account is deleted."""
    phone, newest = row["phone"], row["newest_invitees"]
    if phone is None:
        raise Unauthorized(reason="account deleted")
    return Profile(
        id=str(row["id"]),
        phone=phone,
        name=row["name"],
        email=row["email"],
        invite_code=row["invite_code"],
        invite_link=invitations.invite_link(ctx, row["invite_code"]),
        activated_invite_code=row["activated_invite_code"],
        invitees=[invitations.shown_phone(ctx, each) for each in newest.split(",")]
        if newest
        else [],
        invitee_count=row["invitee_count"],
        invite_opens=row["invite_opens"],
        created_at=row["created_at"],
    )


async def change(
    ctx: Context, signed_in: Authenticated, fields: Mapping[str, str | UnsetType | None]
) -> Profile:
    """Set these fields of PARSERS; None clears a field, UNSET keeps it.

    Raises InvalidRequest, Unauthorized.
    """
    values = {
        field: None if text is None else PARSERS[field](text)
        for field, text in fields.items()
        if text is not UNSET
    }
    if values and not await user_queries.set_fields(signed_in.user.id, **values):
        raise Unauthorized(reason="account deleted")
    return await get(ctx, signed_in.user.id)


async def delete(ctx: Context, signed_in: Authenticated, *, caller: Caller) -> None:
    """Delete the signed-in user's account, as described in deletion.py.

    Raises SignInAgain, Unauthorized, and Forbidden for the last administrator.
    """
    user_id = signed_in.user.id
    await deletion.delete(
        ctx,
        user_id,
        by=Actor.user(user_id, caller, signed_in_at=signed_in.signed_in_at),
        precondition=lambda: _require_session(signed_in),
    )


async def send_phone_code(
    ctx: Context,
    signed_in: Authenticated,
    *,
    phone: str,
    caller: Caller,
    options: SendOptions = DEFAULT_OPTIONS,
) -> SentCode:
    """Send a code to the phone to which the user wants to move the account.

    Raises SignInAgain, InvalidPhone, UnsupportedPhone, InvalidRequest, TooManyRequests,
    SmsUnavailable.
    """
    access.require_fresh(ctx, signed_in)
    return await codes.send(
        ctx,
        text=phone,
        purpose=Purpose.CHANGE_PHONE,
        options=options,
        caller=caller,
        user_id=str(signed_in.user.id),
    )


async def change_phone(
    ctx: Context, signed_in: Authenticated, *, token: str, code: str, caller: Caller
) -> tuple[Profile, Message | None]:
    """Move the account to the challenge's phone and end all other sessions.

    Return the profile, and a message to the old phone for the caller to send, or None.
    Raises SignInAgain, ChallengeInvalid, ChallengeExpired, ChallengeSpent, WrongCode,
    TooManyAttempts, PhoneTaken.
    """
    access.require_fresh(ctx, signed_in)
    now, user_id = ctx.clock(), signed_in.user.id
    challenge = proofs.decrypt_challenge(ctx, token, purpose=Purpose.CHANGE_PHONE, now=now)
    if challenge.user_id != str(user_id):
        raise ChallengeInvalid(reason="issued to another user")

    async def work() -> str | None:
        to_test_phone = challenge.phone in ctx.test_phones
        if to_test_phone:
            await user_queries.lock_admins()
        await invitation_queries.lock(changed=user_id)
        await _require_session(signed_in)
        user = await user_queries.get(user_id)
        if user.phone == challenge.phone or user.phone is None:
            return None
        by = Actor.user(user_id, caller)
        if to_test_phone:
            await admins.require_another(ctx, user, by=by)
        await phone_moves.move_in_transaction(ctx, user, challenge.phone, now=now)
        await sessions.end_all(
            ctx, user_id, reason="phone_changed", except_for=signed_in.session_id
        )
        await session_queries.set_proof(signed_in.session_id, challenge.proof)
        await audit.record(ctx, "phone_changed", by=by, user=user_id)
        return user.phone

    old_phone = await guesses.redeem(ctx, challenge, code, work, caller=caller)
    profile = await get(ctx, user_id)
    # Test phones get no messages
    if old_phone is None or ctx.fixed_code(old_phone) is not None:
        return profile, None
    return profile, messages.phone_changed(ctx, old_phone, caller=caller)


async def _require_session(signed_in: Authenticated) -> None:
    """Check under the lock that the session has not been ended meanwhile. Raises Unauthorized."""
    if await session_queries.find(signed_in.session_id) is None:
        raise Unauthorized(reason="session ended")
