"""Signing in by phone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from referral.context import Actor, Caller, Context
from referral.core import ids
from referral.core import invite_code as invite_codes
from referral.core.errors import AccountBlocked, Refusal, Unauthorized
from referral.core.keys import Purpose
from referral.core.proof import Proof
from referral.core.tokens import RefreshToken
from referral.limits import guesses, sign_in_statement
from referral.limits.sign_in_statement import Guess, Judged
from referral.service import admins, audit, codes, devices, invitations, profiles, proofs, sessions
from referral.service.codes import SentCode
from referral.service.profiles import Profile
from referral.service.sessions import Tokens
from referral.storage import database, users
from referral.storage import profiles as stored_profiles
from referral.storage import sessions as stored_sessions
from referral.storage.models import User
from referral.webhooks.events import Activation


@dataclass(frozen=True, slots=True)
class SignInResult:
    """A sign-in that succeeded."""

    tokens: Tokens
    device_token: str
    profile: Profile
    is_new_user: bool


async def send_code(
    ctx: Context, *, phone: str, device_token: str | None, caller: Caller
) -> SentCode:
    """Send a code to a phone, in whatever way it is spelt.

    Nothing here looks whether the phone has an account, so nothing tells.
    Raises InvalidPhone, UnsupportedPhone, TooManyRequests, SmsUnavailable.
    """
    return await codes.send(
        ctx, text=phone, purpose=Purpose.SIGN_IN, device_token=device_token, caller=caller
    )


async def verify(
    ctx: Context, *, token: str, code: str, invite_code: str | None, caller: Caller
) -> SignInResult:
    """Sign in with a code, and activate an invite code in the same transaction.

    Raises ChallengeInvalid, ChallengeExpired, ChallengeSpent, WrongCode, TooManyAttempts,
    AccountBlocked, and for the invite code what `invitations.activate` raises.
    """
    invite_code = _given(invite_code)
    now = ctx.clock()
    challenge = proofs.open_challenge(ctx, token, purpose=Purpose.SIGN_IN, now=now)

    async def work() -> SignInResult | Refusal:
        if invite_code is not None:
            refusal = await invitations.try_within(ctx, challenge.phone, invite_code, caller=caller)
            if refusal is not None:
                return refusal
        user, is_new = await _find_or_create(ctx, challenge.phone, now)
        if user.is_blocked:
            raise AccountBlocked
        activation = None
        if invite_code is not None:
            # Before anything else of the user changes: it takes its locks in the order it needs
            try:
                activation = await invitations.activate_within(ctx, user.id, invite_code, now=now)
            except Unauthorized:  # deleted this moment: begin again, as a new user
                raise database.Conflict from None
        if not await users.mark_signed_in(user.id, phone=challenge.phone, now=now):
            raise database.Conflict
        await _tell(ctx, user.id, is_new=is_new, activation=activation, caller=caller)
        if is_new:
            await admins.take_grant(ctx, user)
        session, refresh_token = sessions.prepare(
            ctx, proof=challenge.proof, caller=caller, now=now
        )
        await stored_sessions.add(session, user_id=user.id)
        found = await stored_profiles.find(user.id)
        return _signed_in(ctx, found, refresh_token, challenge.proof, is_new_user=is_new, now=now)

    async def fast_path(guess: Guess) -> tuple[Judged, SignInResult | None]:
        return await _sign_in_fast(
            ctx, challenge.phone, guess, challenge.proof, caller=caller, now=now
        )

    has_fast_path = invite_code is None and database.is_postgres()
    return await guesses.redeem(
        ctx, challenge, code, work, caller=caller, fast_path=fast_path if has_fast_path else None
    )


def _given(invite_code: str | None) -> str | None:
    """The invite code, or None if it is blank."""
    return invite_code if invite_code and invite_code.strip() else None


async def _sign_in_fast(
    ctx: Context, phone: str, guess: Guess, proof: Proof, *, caller: Caller, now: datetime
) -> tuple[Judged, SignInResult | None]:
    """Judge a guess and, if it is right and its phone has a user, take the steps of `verify`."""
    session, refresh_token = sessions.prepare(ctx, proof=proof, caller=caller, now=now)
    entry = audit.new_entry(ctx, "signed_in", caller=caller)
    judged = await sign_in_statement.guess(phone, guess, session, entry)
    found = judged.profile
    if found is None:
        return judged, None
    user_id = found["id"]
    audit.log_recorded("signed_in", by=Actor.user(user_id, caller), user=user_id)
    signed_in = _signed_in(ctx, found, refresh_token, proof, is_new_user=False, now=now)
    return judged, signed_in


def _signed_in(
    ctx: Context,
    found: stored_profiles.UserProfileRow,
    refresh_token: RefreshToken,
    proof: Proof,
    *,
    is_new_user: bool,
    now: datetime,
) -> SignInResult:
    """What whoever signed in gets, once the database has their session."""
    user_id, profile = found["id"], profiles.view(ctx, found)
    return SignInResult(
        tokens=sessions.issue(ctx, user_id, refresh_token, now=now),
        device_token=devices.issue(
            ctx,
            user_id,
            profile.phone,
            generation=found["device_generation"],
            proof=proof,
            now=now,
        ),
        profile=profile,
        is_new_user=is_new_user,
    )


async def _tell(
    ctx: Context, user_id: UUID, *, is_new: bool, activation: Activation | None, caller: Caller
) -> None:
    actions = {"user_created": is_new, "signed_in": True, "invite_activated": activation}
    done = [action for action, is_so in actions.items() if is_so]
    by = Actor.user(user_id, caller)
    await audit.record(ctx, *done, by=by, user=user_id, activation=activation)


async def _find_or_create(ctx: Context, phone: str, now: datetime) -> tuple[User, bool]:
    while True:
        user = await users.find_by_phone(phone)
        if user is not None:
            return user, False
        user = User(
            id=ids.new(ctx.token_bytes),
            phone=phone,
            invite_code=invite_codes.new(ctx.randbelow),
            created_at=now,
            last_sign_in_at=now,
        )
        # Not added: another call made this phone's user meanwhile, or, once in a thousand
        # million, somebody has this invite code. Either way the next round settles it.
        if await users.add(user):
            return user, True
