"""Sessions: each begins with a sign-in and is kept alive by rotating refresh tokens."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from referral import audit, observability
from referral.context import Actor, Caller, Context
from referral.core import cursor as cursors
from referral.core import digests, ids, tokens
from referral.core.errors import InvalidRefreshToken, NotFound
from referral.core.proof import Proof
from referral.core.tokens import Authentication, Grant, RefreshToken
from referral.service import proofs, session_rules
from referral.service.access import Authenticated
from referral.storage import database
from referral.storage import sessions as session_queries
from referral.storage import users as user_queries
from referral.storage.models import Session
from referral.storage.sessions import NewSession
from referral.webhooks import events
from referral.webhooks.events import EndReason

_MAX_USER_AGENT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session. access_life: seconds."""

    access: str
    access_life: int
    refresh: str
    session_id: UUID


class SessionView(Struct, frozen=True, kw_only=True):
    """A session, as shown to its user."""

    id: Annotated[str, Meta(examples=["3f1f5ab0-6d1c-4b9e-9a51-2f5f9c3e7c10"])]
    created_at: Annotated[datetime, Meta(examples=["2026-01-31T12:00:00Z"])]
    last_used_at: Annotated[datetime, Meta(examples=["2026-01-31T12:30:00Z"])]
    user_agent: Annotated[str | None, Meta(examples=["Mozilla/5.0"])]
    client: Annotated[
        str | None,
        Meta(
            description="The app that the user signed in to with OpenID Connect, if it is one.",
            examples=["Shop"],
        ),
    ]
    current: Annotated[bool, Meta(description="Whether this is the session of the request.")]


class SessionPage(Struct, frozen=True, kw_only=True):
    items: list[SessionView]
    next_cursor: str | None


def prepare(
    ctx: Context,
    *,
    proof: Proof,
    caller: Caller,
    now: datetime,
    session_id: UUID | None = None,
) -> tuple[NewSession, RefreshToken]:
    """Return a session, which the caller has to store, and its first refresh token.

    session_id: None for a new one.
    """
    session_id = session_id or ids.new(ctx.token_bytes)
    refresh_token = tokens.new_refresh(session_id, token_bytes=ctx.token_bytes)
    session = NewSession(
        id=refresh_token.session_id,
        family_digest=tokens.family_digest(refresh_token),
        refresh_digest=tokens.digest(refresh_token),
        user_agent=_printable(caller.user_agent),
        proof=proof,
        created_at=now,
        address_digest=digests.of_address(caller.address, data_keys=ctx.data_keys),
    )
    return session, refresh_token


def issue_tokens(
    ctx: Context, authentication: Authentication, refresh_token: RefreshToken, *, now: datetime
) -> Tokens:
    """Issue an access token for this API, to accompany a refresh token."""
    access = issue_access(ctx, authentication, grant=ctx.issuer.own_grant, now=now)
    return Tokens(access, ctx.issuer.access_life, refresh_token.text, authentication.session_id)


def issue_access(
    ctx: Context, authentication: Authentication, *, grant: Grant, now: datetime
) -> str:
    """Issue an access token of a session."""
    return tokens.issue_access(
        authentication,
        issuer=ctx.issuer,
        grant=grant,
        now=now,
        keys=ctx.keys,
        token_bytes=ctx.token_bytes,
    )


async def sign_out(
    ctx: Context, text: str, *, caller: Caller, client_id: str | None = None
) -> None:
    """End the session of a refresh token, live or replaced.

    client_id: the client whose session it must be; None for a sign-in without a client. An invalid
    token or another client's is not an error: nothing changes.
    """
    try:
        session = await find(ctx, tokens.parse_refresh(text), ctx.clock(), client_id=client_id)
    except InvalidRefreshToken:
        return
    await end_one(ctx, session.id, user_id=session.user_id)
    observability.record("signed_out", caller=caller, user=session.user_id)


async def page(
    ctx: Context, signed_in: Authenticated, *, cursor: str | None, limit: int
) -> SessionPage:
    """Return a page of the user's live sessions, newest first. Raises InvalidRequest."""
    after = cursors.parse(cursor) if cursor is not None else None
    rows, next_cursor = await session_queries.page(signed_in.user.id, after=after, limit=limit)
    now, current = ctx.clock(), str(signed_in.session_id)
    return SessionPage(
        items=[
            SessionView(
                id=row["id"],
                created_at=row["created_at"],
                last_used_at=row["last_used_at"],
                user_agent=row["user_agent"],
                client=row["client"],
                current=row["id"] == current,
            )
            for row in rows
            if _is_alive(ctx, row["signed_in_at"], row["last_used_at"], row["expires_at"], now)
            and proofs.is_valid(ctx, Proof(row["proof"]), signed_in.user.phone)
        ],
        next_cursor=next_cursor,
    )


async def end(ctx: Context, signed_in: Authenticated, session_id: str, *, caller: Caller) -> None:
    """End one of the user's sessions. Ending another session also revokes all device tokens.

    Raises NotFound.
    """
    user_id, ended = signed_in.user.id, ids.parse(session_id)

    async def work() -> None:
        if ended != signed_in.session_id:
            await user_queries.revoke_devices(user_id)
        if not await end_in_transaction(ctx, ended, user_id=user_id, reason="signed_out"):
            raise NotFound(reason="no such session of this user")

    await database.transaction(work)
    observability.record("signed_out", caller=caller, user=user_id)


async def end_one(ctx: Context, session_id: UUID, *, user_id: UUID) -> bool:
    """End a session because its user signed out. Return False if it has ended already."""
    return await database.transaction(
        lambda: end_in_transaction(ctx, session_id, user_id=user_id, reason="signed_out")
    )


async def sign_out_everywhere(ctx: Context, signed_in: Authenticated, *, caller: Caller) -> None:
    """End all the user's sessions, this one included, and revoke all device tokens."""
    user_id = signed_in.user.id

    async def work() -> None:
        await end_all(ctx, user_id, reason="signed_out")
        by = Actor.user(user_id, caller)
        await audit.record(ctx, "signed_out_everywhere", by=by, user=user_id)

    await database.transaction(work)


async def end_in_transaction(
    ctx: Context, session_id: UUID, *, user_id: UUID, reason: EndReason
) -> bool:
    """End a session. Return False if the user has no such session.

    Call this inside a transaction.
    """
    ended = await session_queries.end(session_id, user_id=user_id)
    await events.add_sessions_ended(ctx, ended, reason=reason)
    return bool(ended)


async def end_all(
    ctx: Context, user_id: UUID, *, reason: EndReason, except_for: UUID | None = None
) -> None:
    """End all sessions of a user, or all except one, and revoke all device tokens.

    Call this inside a transaction.
    """
    await user_queries.revoke_devices(user_id)
    ended = await session_queries.end_all(user_id, except_for=except_for)
    await events.add_sessions_ended(ctx, ended, reason=reason)


async def find(
    ctx: Context, token: RefreshToken, now: datetime, *, client_id: str | None = None
) -> Session:
    """Return the session of a refresh token, live or replaced.

    client_id: the client whose session it must be; None for a sign-in without a client. Raises
    InvalidRefreshToken.
    """
    session = await session_queries.find(token.session_id)
    if session is None or session.client_id != client_id or session.expires_at is not None:
        raise InvalidRefreshToken(reason="no such session of this client")
    # A session's id is public: a made-up token with that id must not be able to end the session
    if not hmac.compare_digest(session.family_digest, tokens.family_digest(token)):
        raise InvalidRefreshToken(reason="another family")
    if not _is_alive(ctx, session.signed_in_at, session.last_used_at, None, now):
        raise InvalidRefreshToken(reason="session expired")
    return session


def _is_alive(
    ctx: Context,
    signed_in_at: datetime,
    last_used_at: datetime,
    expires_at: datetime | None,
    now: datetime,
) -> bool:
    if expires_at is not None and now >= expires_at:
        return False
    return session_rules.is_alive(
        signed_in_at=signed_in_at, last_used_at=last_used_at, limits=ctx.limits, now=now
    )


def _printable(user_agent: str | None) -> str | None:
    if user_agent is None:
        return None
    return "".join(c if c.isprintable() else " " for c in user_agent[:_MAX_USER_AGENT_LENGTH])
