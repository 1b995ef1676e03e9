"""Access: who an access token stands for, and whether their session is still good for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from referral.context import Actor, Parts
from referral.core import tokens
from referral.core.errors import AccountBlocked, SignInAgain, Unauthorized
from referral.core.proof import Proof
from referral.service import proofs, session_rules
from referral.storage import profiles
from referral.storage.models import User


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a request is from: the account and its session, both good at this moment."""

    user: User
    session_id: UUID
    signed_in_at: datetime
    proves_phone: bool
    """Whether only the phone's owner can have signed in."""


async def authenticate(parts: Parts, access_token: str) -> SignedIn:
    """Who an access token stands for. Raises Unauthorized, AccountBlocked."""
    now = parts.clock()
    session_id = UUID(read_access(parts, access_token, now=now))
    account = await profiles.find_account(session_id)
    if account is None:
        raise Unauthorized(reason="session ended")
    require_good(
        parts,
        signed_in_at=account["signed_in_at"],
        last_used_at=account["last_used_at"],
        is_blocked=account["user"].is_blocked,
        proof=account["proof"],
        phone=account["user"].phone,
        now=now,
    )
    return SignedIn(
        account["user"],
        session_id,
        account["signed_in_at"],
        proves_phone=bool(account["proves_phone"]),
    )


def read_access(parts: Parts, access_token: str, *, now: datetime) -> str:
    """The id of the session that a good access token names. Raises Unauthorized."""
    claims = tokens.read_access(access_token, issuer=parts.issuer, now=now, keys=parts.keys)
    return claims.sid


def require_good(
    parts: Parts,
    *,
    signed_in_at: datetime,
    last_used_at: datetime,
    is_blocked: bool,
    proof: Proof | None,
    phone: str | None,
    now: datetime,
) -> None:
    """Raises Unauthorized if the session is over by its age or its proof, AccountBlocked."""
    if not session_rules.is_alive(
        signed_in_at=signed_in_at, last_used_at=last_used_at, limits=parts.limits, now=now
    ):
        raise Unauthorized(reason="session ended")
    if not proofs.hold(parts, proof, phone):
        raise Unauthorized(reason="session of an earlier gateway or test phone")
    if is_blocked:
        raise AccountBlocked


def require_fresh(parts: Parts, signed_in: SignedIn | Actor) -> None:
    """Raises SignInAgain if the sign-in is 15 minutes old or older.

    API keys and commands have none that could grow old.
    """
    at = signed_in.signed_in_at
    if at is not None and not session_rules.is_fresh(signed_in_at=at, now=parts.clock()):
        raise SignInAgain
