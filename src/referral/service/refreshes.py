"""Refreshing a session: refresh token rotation, repeated requests, and reuse detection.

Every use of a refresh token replaces it: the new one is the live token. A client that lost the
response repeats the request with the direct predecessor of the live token. For 30 seconds it gets
the live token again. After that the live token is replaced with another: three times, and then once
every 8 hours. Anything else means that somebody has copied a token, and ends the session (RFC 9700,
section 4.14.2).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from referral import audit, observability
from referral.context import Actor, Caller, Context
from referral.core import digests, tokens
from referral.core.errors import AccountBlocked, InvalidRefreshToken
from referral.core.proof import Proof
from referral.core.tokens import Authentication, RefreshToken
from referral.service import proofs, session_rules, sessions
from referral.service.sessions import Tokens
from referral.storage import database
from referral.storage import sessions as session_queries
from referral.storage import users as user_queries
from referral.storage.models import Session

# Each failed attempt means that another request has just changed the session
_MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session with its live refresh token. scopes: see models.Session."""

    authentication: Authentication
    refresh_token: RefreshToken
    proof: Proof
    scopes: str | None


async def refresh(ctx: Context, text: str, *, caller: Caller) -> Tokens:
    """Return the next tokens of a session without a client. text: a refresh token.

    Raises InvalidRefreshToken, AccountBlocked.
    """
    now = ctx.clock()
    session = await rotate(ctx, text, client_id=None, caller=caller, now=now)
    return sessions.issue_tokens(ctx, session.authentication, session.refresh_token, now=now)


async def rotate(
    ctx: Context,
    text: str,
    *,
    client_id: str | None,
    caller: Caller,
    now: datetime,
    by_server: bool = False,
) -> LiveSession:
    """Replace a session's refresh token. text: the refresh token.

    client_id: the client whose session it must be; None for a sign-in without a client. by_server:
    whether the caller is an app's server, whose address says nothing about the person. Raises
    InvalidRefreshToken, AccountBlocked.
    """
    token = tokens.parse_refresh(text)
    successor = tokens.successors(token, data_keys=ctx.data_keys)[0]
    cutoff = session_rules.expiry_cutoff(ctx.limits, now=now)
    address_digest = None
    if not by_server:
        address_digest = digests.of_address(caller.address, data_keys=ctx.data_keys)
    # The statement itself checks the token, the expiry and that the user is not blocked
    rotated = await session_queries.rotate(
        token.session_id,
        family=tokens.family_digest(token),
        live=tokens.digest(token),
        successor=tokens.digest(successor),
        now=now,
        signed_in_after=cutoff.signed_in_at,
        used_after=cutoff.last_used_at,
        client_id=client_id,
        address_digest=address_digest,
    )
    if rotated is not None:
        _require_proof(ctx, rotated.proof, rotated.phone)
        return _live(
            rotated.user_id, successor, rotated.proof, rotated.signed_in_at, rotated.scopes
        )
    return await _repeat(
        ctx, token, client_id=client_id, caller=caller, address_digest=address_digest, now=now
    )


async def _repeat(
    ctx: Context,
    token: RefreshToken,
    *,
    client_id: str | None,
    caller: Caller,
    address_digest: str | None,
    now: datetime,
) -> LiveSession:
    """Return the session of a replaced refresh token, with a live token, for a repeated request.

    Raises InvalidRefreshToken, AccountBlocked.
    """
    for _ in range(_MAX_ATTEMPTS):
        session = await sessions.find(ctx, token, now, client_id=client_id)
        _require_proof(ctx, Proof(session.proof), session.user.phone)
        if session.user.is_blocked:
            raise AccountBlocked
        if _is_live(session, token):
            break
        live = _live_successor(ctx, session, token)
        if live is None:
            await _end_reused(ctx, session, caller=caller)
        elif now - session.last_used_at <= tokens.REFRESH_GRACE:
            return _with_token(session, live)
        elif another := await _repeat_late(
            ctx, session, token, caller=caller, address_digest=address_digest, now=now
        ):
            return _with_token(session, another)
    raise InvalidRefreshToken(reason="other requests kept changing the session")


def _with_token(session: Session, token: RefreshToken) -> LiveSession:
    proof = Proof(session.proof)
    return _live(session.user_id, token, proof, session.signed_in_at, session.scopes)


def _live(
    user_id: UUID, token: RefreshToken, proof: Proof, signed_in_at: datetime, scopes: str | None
) -> LiveSession:
    authentication = Authentication(
        user_id=user_id, session_id=token.session_id, at=signed_in_at, methods=proof.methods
    )
    return LiveSession(
        authentication=authentication, refresh_token=token, proof=proof, scopes=scopes
    )


def _live_successor(ctx: Context, session: Session, token: RefreshToken) -> RefreshToken | None:
    """Return the live token if the given one is its direct predecessor."""
    candidates = tokens.successors(token, data_keys=ctx.data_keys)
    candidates += tokens.successors(
        token, data_keys=ctx.data_keys, late_repeats_tat=session.late_repeats_tat
    )
    return next((each for each in candidates if _is_live(session, each)), None)


async def _repeat_late(
    ctx: Context,
    session: Session,
    token: RefreshToken,
    *,
    caller: Caller,
    address_digest: str | None,
    now: datetime,
) -> RefreshToken | None:
    """Replace the live token with another successor of the given one, and return it.

    Return None if another request changed the session first. If the late repeats are exhausted, end
    the session and raise InvalidRefreshToken.
    """
    tat = session_rules.charge_late_repeat(session.late_repeats_tat, now=now)
    if tat is None:
        await _end_reused(ctx, session, caller=caller)
    another = tokens.successors(token, data_keys=ctx.data_keys, late_repeats_tat=tat)[0]
    if not await session_queries.rotate_repeated(
        session,
        successor=tokens.digest(another),
        tat=tat,
        now=now,
        address_digest=address_digest,
    ):
        return None
    observability.record("refresh_token_repeated", caller=caller, user=session.user_id)
    return another


async def _end_reused(ctx: Context, session: Session, *, caller: Caller) -> NoReturn:
    """End a session whose token was copied, and revoke all device tokens of its user."""

    async def work() -> None:
        await user_queries.revoke_devices(session.user_id)
        if await sessions.end_in_transaction(
            ctx, session.id, user_id=session.user_id, reason="reused"
        ):
            by = Actor.user(session.user_id, caller)
            await audit.record(ctx, "refresh_token_reused", by=by, user=session.user_id)

    await database.transaction(work)
    raise InvalidRefreshToken(reason="used before: the session was ended")


def _require_proof(ctx: Context, proof: Proof, phone: str | None) -> None:
    if not proofs.is_valid(ctx, proof, phone):
        raise InvalidRefreshToken(reason="the session's proof is not valid any more")


def _is_live(session: Session, token: RefreshToken) -> bool:
    return hmac.compare_digest(session.refresh_digest, tokens.digest(token))
