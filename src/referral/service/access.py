"""Access: who an access token stands for, and whether their session is still good for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from referral.context import Actor, Context
from referral.core import tokens
from referral.core.errors import AccountBlocked, SignInAgain, Unauthorized
from referral.core.proof import Proof
from referral.service import proofs, session_rules
from referral.storage import profiles
from referral.storage.models import User


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who a request is from: the account and its session, both good at this moment."""

    user: User
    session_id: UUID
    signed_in_at: datetime
    proof: Proof


async def authenticate(ctx: Context, access_token: str) -> Authenticated:
    """Who an access token stands for. Raises Unauthorized, AccountBlocked."""
    now = ctx.clock()
    session_id = UUID(verify_access(ctx, access_token, now=now))
    account = await profiles.find_account(session_id)
    if account is None:
        raise Unauthorized(reason="session ended")
    require_good(
        ctx,
        signed_in_at=account["signed_in_at"],
        last_used_at=account["last_used_at"],
        is_blocked=account["user"].is_blocked,
        proof=account["proof"],
        phone=account["user"].phone,
        now=now,
    )
    return Authenticated(
        account["user"],
        session_id,
        account["signed_in_at"],
        account["proof"],
    )


def verify_access(ctx: Context, access_token: str, *, now: datetime) -> str:
    """The id of the session that a good access token names. Raises Unauthorized."""
    claims = tokens.verify_access(access_token, issuer=ctx.issuer, now=now, keys=ctx.keys)
    return claims.sid


def require_good(
    ctx: Context,
    *,
    signed_in_at: datetime,
    last_used_at: datetime,
    is_blocked: bool,
    proof: Proof,
    phone: str | None,
    now: datetime,
) -> None:
    """Raises Unauthorized if the session is over by its age or its proof, AccountBlocked."""
    if not session_rules.is_alive(
        signed_in_at=signed_in_at, last_used_at=last_used_at, limits=ctx.limits, now=now
    ):
        raise Unauthorized(reason="session ended")
    if not proofs.hold(ctx, proof, phone):
        raise Unauthorized(reason="session of an earlier gateway or test phone")
    if is_blocked:
        raise AccountBlocked


def require_fresh(ctx: Context, signed_in: Authenticated | Actor) -> None:
    """Raises SignInAgain if the sign-in is 15 minutes old or older.

    API keys and commands have none that could grow old.
    """
    at = signed_in.signed_in_at
    if at is not None and not session_rules.is_fresh(signed_in_at=at, now=ctx.clock()):
        raise SignInAgain
