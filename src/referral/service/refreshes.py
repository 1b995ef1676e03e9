"""Refreshing a session: its next tokens for its refresh token, and what a repeated one gets."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import NoReturn

from referral import observability
from referral.context import Actor, Caller, Context
from referral.core import tokens
from referral.core.errors import AccountBlocked, InvalidRefreshToken
from referral.core.proof import Proof
from referral.core.tokens import RefreshToken
from referral.service import audit, proofs, session_rules, sessions
from referral.service.sessions import Tokens
from referral.storage import database, users
from referral.storage import sessions as stored
from referral.storage.models import Session

# Each failed one means that another call has just changed the session
_REPEAT_TRIES = 5


async def refresh(ctx: Context, text: str, *, caller: Caller) -> Tokens:
    """The next tokens of a session.

    The live token's direct predecessor gets the live one for 30 seconds, and then, at most three
    times in a day, another one in its place. Any older token, or one more such repeat, shows that
    somebody has a copy: it ends the session. Raises InvalidRefreshToken, AccountBlocked.
    """
    now = ctx.clock()
    token = tokens.parse_refresh(text)
    following = tokens.successors(token, data_keys=ctx.data_keys)
    oldest = session_rules.oldest(ctx.limits, now=now)
    # Everything that a good token has to be is asked for in the statement that takes its turn
    rotated = await stored.rotate(
        token.session_id,
        family=tokens.family_digest(token),
        live=tokens.digest(token),
        successor=tokens.digest(following[0]),
        now=now,
        signed_in_after=oldest.signed_in_at,
        used_after=oldest.last_used_at,
    )
    if rotated is not None:
        _require_proof(ctx, rotated.proof, rotated.phone)
        return sessions.issue(ctx, rotated.user_id, following[0], now=now)
    for _ in range(_REPEAT_TRIES):
        session = await sessions.find(ctx, token, now)
        _require_proof(ctx, Proof(session.proof), session.user.phone)
        if session.user.is_blocked:
            raise AccountBlocked
        if _is_live(session, token):
            break
        live = _live_successor(ctx, session, token)
        if live is None:
            await _end_reused(ctx, session, caller=caller)
        elif now - session.last_used_at <= tokens.REFRESH_GRACE:
            return sessions.issue(ctx, session.user_id, live, now=now)
        elif another := await _repeat_late(ctx, session, token, caller=caller, now=now):
            return sessions.issue(ctx, session.user_id, another, now=now)
    raise InvalidRefreshToken(reason="could not be used a moment ago")


def _live_successor(ctx: Context, session: Session, token: RefreshToken) -> RefreshToken | None:
    """The live token if it came in this one's place, and so this one is its predecessor."""
    made = tokens.successors(token, data_keys=ctx.data_keys)
    made += tokens.successors(
        token, data_keys=ctx.data_keys, late_repeats_tat=session.late_repeats_tat
    )
    return next((each for each in made if _is_live(session, each)), None)


async def _repeat_late(
    ctx: Context, session: Session, token: RefreshToken, *, caller: Caller, now: datetime
) -> RefreshToken | None:
    """Replace the live token by another successor of this one, whose first came to nobody.

    None if another call changed the session first. Raises InvalidRefreshToken if it is one time
    too many.
    """
    tat = session_rules.late_repeat(session.late_repeats_tat, now=now)
    if tat is None:
        await _end_reused(ctx, session, caller=caller)
    another = tokens.successors(token, data_keys=ctx.data_keys, late_repeats_tat=tat)[0]
    if not await stored.rotate_repeated(
        session, successor=tokens.digest(another), tat=tat, now=now
    ):
        return None
    observability.record("refresh_token_repeated", caller=caller, user=session.user_id)
    return another


async def _end_reused(ctx: Context, session: Session, *, caller: Caller) -> NoReturn:
    """End a session of which somebody has a copy, and all device tokens."""

    async def work() -> None:
        await users.revoke_devices(session.user_id)
        if await stored.end(session.id, user_id=session.user_id):
            by = Actor.user(session.user_id, caller)
            await audit.record(ctx, "refresh_token_reused", by=by, user=session.user_id)

    await database.transaction(work)
    raise InvalidRefreshToken(reason="used before: the session is ended")


def _require_proof(ctx: Context, proof: Proof, phone: str | None) -> None:
    if not proofs.hold(ctx, proof, phone):
        raise InvalidRefreshToken(reason="session of an earlier gateway or test phone")


def _is_live(session: Session, token: RefreshToken) -> bool:
    return hmac.compare_digest(session.refresh_digest, tokens.digest(token))
