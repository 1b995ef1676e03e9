"""The token endpoint (RFC 6749, section 5), revocation (RFC 7009) and the claims of userinfo."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType

from referral import audit, observability
from referral.context import Actor, Caller, Context
from referral.core import tokens as token_rules
from referral.core.errors import AccountBlocked, InvalidRefreshToken, Unauthorized
from referral.core.proof import Proof
from referral.core.seal import RsaKey
from referral.core.tokens import Authentication
from referral.limits import counters, gcra
from referral.limits.counters import Advance
from referral.limits.scope import counter_key
from referral.openid import authorization_code, clients, id_token, queries, scope
from referral.openid.authorization_code import AuthorizationCode
from referral.openid.errors import InsufficientScope, InvalidClient, InvalidGrant
from referral.openid.scope import Person
from referral.service import access, refreshes, sessions
from referral.service.access import Authenticated
from referral.storage import database
from referral.storage import sessions as session_queries
from referral.storage import users as user_queries
from referral.storage.models import Client, User

_COUNTER = "authorization-code"


class TokenResponse(Struct, frozen=True, kw_only=True):
    """A successful response (RFC 6749, section 5.1; OpenID Connect Core, section 3.1.3.3)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - not a secret
    expires_in: int
    refresh_token: str | UnsetType = UNSET
    id_token: str | UnsetType = UNSET
    scope: str


class _Session(Struct, frozen=True, kw_only=True):
    """A client's session and its user, for which tokens are issued."""

    user: User
    proof: Proof
    authentication: Authentication
    refresh_token: str | UnsetType


async def exchange(
    ctx: Context,
    client: Client,
    code: str,
    *,
    redirect_uri: str | None,
    verifier: str | None,
    caller: Caller,
) -> TokenResponse:
    """Exchange an authorization code, once. A second use ends the session that the first began.

    Raises InvalidGrant, InvalidClient.
    """
    now = ctx.clock()
    found = authorization_code.decrypt(
        code,
        client_id=client.id,
        redirect_uri=redirect_uri,
        verifier=verifier,
        now=now,
        keys=ctx.keys,
    )

    async def work() -> _Session | None:
        if not await _spend(ctx, found, now):
            await _end_reused(ctx, found, caller=caller)
            return None
        if not await queries.lock_client(client.id):
            raise InvalidClient("The client was deleted: register it again.")
        signed_in = await _browser_session(ctx, found, now)
        return await _begin_session(ctx, client, found, signed_in, caller, now)

    # Read before the code is spent: after that the exchange must not fail
    key = await ctx.signing_keys.current(ctx)
    session = await database.transaction(work)
    if session is None:
        raise InvalidGrant("The code was used before: send the person to sign in again.")
    return _respond(ctx, client, session, found.scopes, key=key, nonce=found.nonce, now=now)


async def refresh(
    ctx: Context, client: Client, text: str, *, wanted_scope: str | None, caller: Caller
) -> TokenResponse:
    """Exchange a refresh token of this client. wanted_scope: the parameter `scope`, if it was sent.

    Raises InvalidGrant, OAuthError.
    """
    now = ctx.clock()
    key = await ctx.signing_keys.current(ctx)
    try:
        if wanted_scope is not None:
            # Checked before the token is replaced, so that a refused scope changes nothing
            found = await sessions.find(
                ctx, token_rules.parse_refresh(text), now, client_id=client.id
            )
            scope.narrow((found.scopes or "").split(), wanted_scope)
        live = await refreshes.rotate(
            ctx,
            text,
            client_id=client.id,
            caller=caller,
            now=now,
            by_server=not client.is_public,
        )
    except (InvalidRefreshToken, AccountBlocked) as refusal:
        raise InvalidGrant(
            "The refresh token is not valid any more: send the person to sign in again."
        ) from refusal
    user = await user_queries.find(live.authentication.user_id)
    if user is None:
        raise InvalidGrant("The account was deleted: end the session in the app too.")
    session = _Session(
        user=user,
        proof=live.proof,
        authentication=live.authentication,
        refresh_token=live.refresh_token.text,
    )
    scopes = scope.narrow((live.scopes or "").split(), wanted_scope)
    return _respond(ctx, client, session, scopes, key=key, nonce=None, now=now)


async def revoke(ctx: Context, client: Client, token: str, *, caller: Caller) -> None:
    """End the session of a token of this client, access or refresh, also a replaced or expired one.

    Any other text changes nothing (RFC 7009, section 2.2).
    """
    if "." not in token:
        await sessions.sign_out(ctx, token, caller=caller, client_id=client.id)
        return
    try:
        claims = token_rules.read_access(token, issuer=ctx.issuer, keys=ctx.keys)
    except Unauthorized:
        return
    if claims.client_id == client.id and await sessions.end_one(
        ctx, UUID(claims.sid), user_id=UUID(claims.sub)
    ):
        observability.record("signed_out", caller=caller, user=claims.sub)


async def userinfo(ctx: Context, access_token: str) -> dict[str, object]:
    """Return `sub` and the claims of the token's scopes (OpenID Connect Core, section 5.3).

    Raises Unauthorized, AccountBlocked, InsufficientScope.
    """
    now = ctx.clock()
    claims = token_rules.verify_access(access_token, issuer=ctx.issuer, now=now, keys=ctx.keys)
    scopes = tuple(claims.scope.split())
    if scope.OPENID not in scopes:
        raise InsufficientScope
    signed_in = await access.find(ctx, claims, now=now)
    return {"sub": claims.sub, **_claims(signed_in.user, signed_in.proof, scopes)}


async def _spend(ctx: Context, code: AuthorizationCode, now: datetime) -> bool:
    """Mark a code as used. Return False if it was used before.

    The counter's value is the time until which the mark holds. Raises InvalidGrant if the code has
    expired without having been used.
    """
    key = counter_key(ctx.counter_key, f"{_COUNTER}|{code.session_id}")
    at = gcra.microseconds(now)
    if authorization_code.has_expired(code, now=now):
        if (await counters.read([key])).get(key, 0) > at:
            return False
        raise InvalidGrant("The code has expired: exchange it within 60 seconds.")
    # Twice as long as `decrypt` accepts the code, so that the mark outlives it
    until = at + 2 * authorization_code.REUSE_SECONDS * gcra.SECOND
    return await counters.advance(Advance(key, until, below=at))


async def _end_reused(ctx: Context, code: AuthorizationCode, *, caller: Caller) -> None:
    """End the session that a code's first use began: either use may have been an attacker's."""
    user_id = UUID(code.user_id)
    if await sessions.end_in_transaction(
        ctx, UUID(code.session_id), user_id=user_id, reason="reused"
    ):
        by = Actor.user(user_id, caller)
        await audit.record(ctx, "authorization_code_reused", by=by, user=user_id)


async def _browser_session(ctx: Context, code: AuthorizationCode, now: datetime) -> Authenticated:
    """Return the browser's session, with its user locked. Raises InvalidGrant if it has ended."""
    ended = InvalidGrant("The session here has ended meanwhile: send the person to sign in again.")
    user_id = UUID(code.user_id)
    if not await queries.lock_user(user_id):
        raise ended
    # Otherwise signing out everywhere at the same time could miss the session that this adds
    await queries.lock_device_generation(user_id)
    try:
        signed_in = await access.find_session(ctx, UUID(code.browser_session_id), now=now)
    except (Unauthorized, AccountBlocked):
        raise ended from None
    if (str(signed_in.user.id), signed_in.user.phone) != (code.user_id, code.phone):
        raise ended
    return signed_in


async def _begin_session(
    ctx: Context,
    client: Client,
    code: AuthorizationCode,
    signed_in: Authenticated,
    caller: Caller,
    now: datetime,
) -> _Session:
    """Add the client's session. Its age counts from the sign-in of the browser's session."""
    new, refresh_token = sessions.prepare(
        ctx, proof=signed_in.proof, caller=caller, now=now, session_id=UUID(code.session_id)
    )
    is_offline = _is_offline(code.scopes)
    new = msgspec.structs.replace(
        new,
        # A confidential client exchanges codes on its server, whose address is not the person's
        address_digest=new.address_digest if client.is_public else None,
        client_id=client.id,
        scopes=" ".join(code.scopes),
        authenticated_at=signed_in.signed_in_at,
        expires_at=None if is_offline else now + timedelta(seconds=ctx.issuer.access_life),
    )
    user_id = signed_in.user.id
    await session_queries.add(new, user_id=user_id)
    if is_offline:
        await user_queries.mark_signed_in(user_id, phone=code.phone, now=now)
    by = Actor.user(user_id, caller)
    await audit.record(ctx, "signed_in_to_app", by=by, user=user_id, client=client.name)
    return _Session(
        user=signed_in.user,
        proof=signed_in.proof,
        authentication=Authentication(
            user_id=user_id,
            session_id=new.id,
            at=signed_in.signed_in_at,
            methods=signed_in.proof.methods,
        ),
        refresh_token=refresh_token.text if is_offline else UNSET,
    )


def _is_offline(scopes: Iterable[str]) -> bool:
    return scope.OFFLINE_ACCESS in scopes


def _respond(
    ctx: Context,
    client: Client,
    session: _Session,
    scopes: tuple[str, ...],
    *,
    key: RsaKey,
    nonce: str | None,
    now: datetime,
) -> TokenResponse:
    access_token = sessions.issue_access(
        ctx, session.authentication, grant=clients.grant(ctx, client, scopes), now=now
    )
    id_token_text: str | UnsetType = UNSET
    if scope.OPENID in scopes:
        id_token_text = id_token.issue(
            issuer=ctx.issuer.url,
            client_id=client.id,
            authentication=session.authentication,
            nonce=nonce,
            access_token=access_token,
            claims=_claims(session.user, session.proof, scopes),
            now=now,
            key=key,
        )
    return TokenResponse(
        access_token=access_token,
        expires_in=ctx.issuer.access_life,
        refresh_token=session.refresh_token,
        id_token=id_token_text,
        scope=" ".join(scopes),
    )


def _claims(user: User, proof: Proof, scopes: Iterable[str]) -> dict[str, object]:
    person = Person(
        phone=user.phone or "",
        is_verified=bool(proof.methods),
        name=user.name,
        email=user.email,
        invite_code=user.invite_code,
        inviter_id=str(user.inviter_id) if user.inviter_id else None,
        invitee_count=user.invitee_count,
    )
    return scope.claims(scopes, person)
