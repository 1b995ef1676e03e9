"""Authentication of requests by access token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from referral.context import Actor, Context
from referral.core import freshness, tokens
from referral.core.errors import AccountBlocked, Forbidden, Unauthorized
from referral.core.proof import Proof
from referral.core.tokens import AccessClaims
from referral.service import proofs, session_rules
from referral.storage import profiles as profile_queries
from referral.storage.models import User


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The user and the session of a request. Both were valid when the request was authenticated."""

    user: User
    session_id: UUID
    signed_in_at: datetime
    proof: Proof
    client_id: str | None = None
    """The client whose access token was used; None for a sign-in without a client."""


async def authenticate(ctx: Context, access_token: str) -> Authenticated:
    """Return the user and the session of an access token that is valid for this API.

    Raises Unauthorized, AccountBlocked, Forbidden.
    """
    now = ctx.clock()
    claims = verify_access(ctx, access_token, now=now)
    return await find(ctx, claims, now=now)


async def find(ctx: Context, claims: AccessClaims, *, now: datetime) -> Authenticated:
    """Return the user and the session of verified claims. Raises Unauthorized, AccountBlocked."""
    client_id = claims.client_id if claims.client_id != ctx.issuer.audience else None
    return await find_session(ctx, UUID(claims.sid), client_id=client_id, now=now)


async def find_session(
    ctx: Context, session_id: UUID, *, client_id: str | None = None, now: datetime
) -> Authenticated:
    """Return a session that may still be used, with its user.

    Raises Unauthorized, AccountBlocked.
    """
    account = await profile_queries.find_account(session_id)
    if account is None:
        raise Unauthorized(reason="session ended")
    require_valid(
        ctx,
        signed_in_at=account["signed_in_at"],
        last_used_at=account["last_used_at"],
        is_blocked=account["user"].is_blocked,
        proof=account["proof"],
        phone=account["user"].phone,
        now=now,
    )
    return Authenticated(
        account["user"], session_id, account["signed_in_at"], account["proof"], client_id
    )


def verify_access(ctx: Context, access_token: str, *, now: datetime) -> AccessClaims:
    """Return the claims of an access token that is valid for this API.

    Raises Unauthorized, and Forbidden for a client's token without the scope `account`.
    """
    claims = tokens.verify_access(access_token, issuer=ctx.issuer, now=now, keys=ctx.keys)
    if tokens.ACCOUNT_SCOPE not in claims.scope.split():
        raise Forbidden(
            "This access token was issued for another service: its scope has no `account`.",
            reason="scope",
        )
    if claims.aud != ctx.issuer.audience:
        raise Unauthorized(reason="made for another audience")
    return claims


def require_valid(
    ctx: Context,
    *,
    signed_in_at: datetime,
    last_used_at: datetime,
    is_blocked: bool,
    proof: Proof,
    phone: str | None,
    now: datetime,
) -> None:
    """Require that a session and its user may still be used.

    Raises Unauthorized if the session has expired or its proof is not valid any more,
    AccountBlocked if the user is blocked.
    """
    if not session_rules.is_alive(
        signed_in_at=signed_in_at, last_used_at=last_used_at, limits=ctx.limits, now=now
    ):
        raise Unauthorized(reason="session ended")
    if not proofs.is_valid(ctx, proof, phone):
        raise Unauthorized(reason="the session's proof is not valid any more")
    if is_blocked:
        raise AccountBlocked


def require_fresh(ctx: Context, signed_in: Authenticated | Actor) -> None:
    """Require a sign-in less than 15 minutes old. Raises SignInAgain.

    API keys and commands have no sign-in and always pass.
    """
    freshness.require(signed_in.signed_in_at, now=ctx.clock())
