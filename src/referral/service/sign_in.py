"""Signing in by phone: a code is sent, and its verification signs the phone's user in or up.

A sign-in has two paths with the same effects. On PostgreSQL, a sign-in of a known user without an
invite code takes the fast path: one SQL statement instead of twelve judges the guess and signs the
user in. With a new user, an invite code or SQLite it takes several steps, in the transaction that
judges the guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from referral import audit
from referral.context import Actor, Caller, Context
from referral.core import ids
from referral.core import invite_code as invite_codes
from referral.core.challenge import Challenge
from referral.core.errors import AccountBlocked, Refusal, Unauthorized
from referral.core.keys import Purpose
from referral.core.proof import Proof
from referral.core.tokens import Authentication, RefreshToken
from referral.limits import guesses, sign_in_statement
from referral.limits.sign_in_statement import Guess, Judged
from referral.rewards import activations
from referral.rewards.flags import Origin
from referral.service import (
    admins,
    codes,
    devices,
    invitations,
    profiles,
    proofs,
    sessions,
    sign_ups,
)
from referral.service.codes import DEFAULT_OPTIONS, SendOptions, SentCode
from referral.service.profiles import Profile
from referral.service.sessions import Tokens
from referral.storage import database, sign_up_grants
from referral.storage import profiles as profile_queries
from referral.storage import sessions as session_queries
from referral.storage import users as user_queries
from referral.storage.models import User
from referral.webhooks.events import InviteChange


@dataclass(frozen=True, slots=True)
class SignInResult:
    """A successful sign-in: the tokens, and the profile of the user."""

    tokens: Tokens
    device_token: str
    profile: Profile
    is_new_user: bool
    has_activated: bool
    """Whether it activated an invite code."""


async def send_code(
    ctx: Context,
    *,
    phone: str,
    device_token: str | None,
    caller: Caller,
    options: SendOptions = DEFAULT_OPTIONS,
) -> SentCode:
    """Send a code to a phone. phone: as it was typed.

    The account is not looked up, so neither the response nor its time reveals whether there is one.
    Raises InvalidPhone, UnsupportedPhone, InvalidRequest, TooManyRequests, SmsUnavailable.
    """
    return await codes.send(
        ctx,
        text=phone,
        purpose=Purpose.SIGN_IN,
        options=options,
        device_token=device_token,
        caller=caller,
    )


async def verify(
    ctx: Context, *, token: str, code: str, invite_code: str | None, caller: Caller
) -> SignInResult:
    """Sign in with a code, and activate an invite code in the same transaction.

    invite_code: None or blank if there is none.
    Raises ChallengeInvalid, ChallengeExpired, ChallengeSpent, WrongCode, TooManyAttempts,
    AccountBlocked, InvitationRequired, SignUpClosed, and for the invite code what
    `invitations.activate` raises.
    """
    if invite_code is not None and not invite_code.strip():
        invite_code = None
    now = ctx.clock()
    challenge = proofs.decrypt_challenge(ctx, token, purpose=Purpose.SIGN_IN, now=now)
    steps = partial(_sign_in_by_steps, ctx, challenge, invite_code, caller=caller, now=now)
    fast_path = None
    if invite_code is None and database.is_postgres():
        fast_path = partial(_sign_in_by_statement, ctx, challenge, caller=caller, now=now)
    return await guesses.redeem(ctx, challenge, code, steps, caller=caller, fast_path=fast_path)


async def _sign_in_by_steps(
    ctx: Context, challenge: Challenge, invite_code: str | None, *, caller: Caller, now: datetime
) -> SignInResult | Refusal:
    """Sign the user of a challenge's phone in or up, in the transaction of a right guess.

    A refusal of the invite code is returned, not raised, so that its charge is committed.
    Raises Conflict if the user has changed meanwhile; the transaction is then repeated.
    """
    user = await user_queries.find_by_phone(challenge.phone)
    is_new_user = user is None
    is_invitation = is_new_user and await sign_ups.require_allowed(
        ctx, challenge.phone, has_invite_code=invite_code is not None
    )
    if invite_code is not None:
        refusal = await invitations.try_in_transaction(
            ctx, challenge.phone, invite_code, user=user, caller=caller
        )
        if refusal is not None:
            return refusal
    if user is None:
        user = await _create(ctx, challenge.phone, now)
    if user.is_blocked:
        raise AccountBlocked
    # Before any other change to this user, because it locks several users in the order of ids
    activation = await _activate(ctx, user.id, invite_code, now=now, is_invitation=is_invitation)
    if not await user_queries.mark_signed_in(user.id, phone=challenge.phone, now=now):
        raise database.Conflict
    await _record(ctx, user.id, is_new_user=is_new_user, activation=activation, caller=caller)
    if activation is not None:
        origin = Origin(caller.address, challenge.shared_device)
        await activations.made(ctx, user.id, activation.inviter_id, origin=origin, now=now)
    if is_new_user:
        await admins.redeem_grant(ctx, user)
        await sign_up_grants.consume(challenge.phone)
    session, refresh_token = sessions.prepare(ctx, proof=challenge.proof, caller=caller, now=now)
    await session_queries.add(session, user_id=user.id)
    row = await profile_queries.find(user.id)
    return _result(
        ctx,
        row,
        refresh_token,
        challenge.proof,
        is_new_user=is_new_user,
        has_activated=activation is not None,
        now=now,
    )


async def _activate(
    ctx: Context, user_id: UUID, invite_code: str | None, *, now: datetime, is_invitation: bool
) -> InviteChange | None:
    """Activate an invite code if there is one. Raises what `activate_in_transaction` does."""
    if invite_code is None:
        return None
    try:
        return await invitations.activate_in_transaction(
            ctx, user_id, invite_code, now=now, is_invitation=is_invitation
        )
    except Unauthorized:  # the user was deleted just now: retry, which signs up a new one
        raise database.Conflict from None


async def _sign_in_by_statement(
    ctx: Context, challenge: Challenge, guess: Guess, *, caller: Caller, now: datetime
) -> tuple[Judged, SignInResult | None]:
    """Judge a guess and, if it is right, sign a known user in, all in one SQL statement.

    The result is None if the guess is wrong or refused, or if the phone has no user who may sign
    in: a right guess is then handled by `_sign_in_by_steps`.
    """
    session, refresh_token = sessions.prepare(ctx, proof=challenge.proof, caller=caller, now=now)
    entry = audit.new_entry(ctx, "signed_in", caller=caller)
    judged = await sign_in_statement.judge(challenge.phone, guess, session, entry)
    row = judged.profile
    if row is None:
        return judged, None
    user_id = row["id"]
    audit.log_action("signed_in", by=Actor.user(user_id, caller), user=user_id)
    return judged, _result(ctx, row, refresh_token, challenge.proof, now=now)


async def _create(ctx: Context, phone: str, now: datetime) -> User:
    """Create the user of a phone. Raises Conflict if another request has just done so."""
    while True:
        user = User(
            id=ids.new(ctx.token_bytes),
            phone=phone,
            invite_code=invite_codes.new(ctx.randbelow),
            created_at=now,
            last_sign_in_at=now,
        )
        if await user_queries.add(user):
            return user
        if await user_queries.find_by_phone(phone) is not None:
            raise database.Conflict
        # The random invite code is in use: try another


async def _record(
    ctx: Context,
    user_id: UUID,
    *,
    is_new_user: bool,
    activation: InviteChange | None,
    caller: Caller,
) -> None:
    actions = {"user_created": is_new_user, "signed_in": True, "invite_activated": activation}
    done = [action for action, happened in actions.items() if happened]
    by = Actor.user(user_id, caller)
    await audit.record(ctx, *done, by=by, user=user_id, activation=activation)


def _result(
    ctx: Context,
    row: profile_queries.UserProfileRow,
    refresh_token: RefreshToken,
    proof: Proof,
    *,
    is_new_user: bool = False,
    has_activated: bool = False,
    now: datetime,
) -> SignInResult:
    """Build the result of a sign-in whose session is in the database."""
    user_id, profile = row["id"], profiles.from_row(ctx, row)
    authentication = Authentication(
        user_id=user_id, session_id=refresh_token.session_id, at=now, methods=proof.methods
    )
    return SignInResult(
        tokens=sessions.issue_tokens(ctx, authentication, refresh_token, now=now),
        device_token=devices.issue(
            ctx,
            user_id,
            profile.phone,
            generation=row["device_generation"],
            proof=proof,
            now=now,
        ),
        profile=profile,
        is_new_user=is_new_user,
        has_activated=has_activated,
    )
