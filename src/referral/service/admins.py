"""Administrators: authenticating them, granting and revoking their rights."""

from __future__ import annotations

from referral import audit, observability
from referral.context import COMMAND, Actor, Caller, Context
from referral.core import api_key
from referral.core import phone as phones
from referral.core.errors import Forbidden, Unauthorized
from referral.service import access
from referral.service.access import Authenticated
from referral.storage import api_keys as api_key_queries
from referral.storage import database
from referral.storage import users as user_queries
from referral.storage.api_keys import FoundKey
from referral.storage.models import User


async def authenticate(ctx: Context, token: str, *, caller: Caller) -> Actor:
    """Return the administrator or API key that a bearer token belongs to.

    Raises Unauthorized, AccountBlocked, Forbidden.
    """
    if api_key.is_api_key(token):
        key = await _find_key(token)
        if key.events_only:
            raise Forbidden(
                "This API key was made with `--events`: it opens only `POST /api/v1/events`, "
                "`POST /api/v1/users/{id}/redemptions` and their reversals. Use another key.",
                reason="key for events only",
            )
        return Actor.key(key.name, caller)
    return require_admin(ctx, await access.authenticate(ctx, token), caller=caller)


async def authenticate_key(ctx: Context, token: str, *, caller: Caller) -> Actor:
    """Return the API key that a bearer token is, whatever it opens.

    Raises Unauthorized, and Forbidden for the token of a user, who may be an administrator;
    AccountBlocked if that user is blocked.
    """
    if api_key.is_api_key(token):
        return Actor.key((await _find_key(token)).name, caller)
    await access.authenticate(ctx, token)
    raise Forbidden(
        "This operation is only for programs with an API key. The operator of the service can "
        "create one: `referral key new NAME --events`.",
        reason="token of a user",
    )


def require_admin(ctx: Context, signed_in: Authenticated, *, caller: Caller) -> Actor:
    """Return a signed-in administrator as an Actor. Raises Forbidden for any other user."""
    if not may_administer(ctx, signed_in.user):
        raise Forbidden(
            "This operation is only for administrators and API keys. The operator of the service "
            "can create both: `referral admin grant`, `referral key new`."
        )
    if signed_in.client_id is not None:
        raise Forbidden(
            "An app's token does not administer. Use the pages, an API key, or a sign-in of your "
            "own.",
            reason="token of a client",
        )
    if not signed_in.proof.proves_ownership:
        raise Forbidden(
            "This session began when anybody could sign in with this phone. Sign in again.",
            reason="session of an open demo or a test phone",
        )
    return Actor.user(signed_in.user.id, caller, signed_in_at=signed_in.signed_in_at)


def proves_ownership(ctx: Context, phone: str | None) -> bool:
    """Return whether a sign-in code proves who owns the phone, under the current settings."""
    return ctx.admins_allowed and phone not in ctx.test_phones


def may_administer(ctx: Context, user: User) -> bool:
    """Return whether a user is an administrator under the current settings."""
    return user.is_admin and proves_ownership(ctx, user.phone)


def require_eligible(ctx: Context, phone: str | None) -> None:
    """Require that the user of a phone can become an administrator. Raises Forbidden."""
    if not ctx.admins_allowed:
        raise Forbidden(
            "With the simulated gateway in production anybody can sign in with any phone, so "
            "nobody can be an administrator. Set a real gateway first."
        )
    if phone in ctx.test_phones:
        raise Forbidden("A test phone has a fixed code. Use another phone.")


async def require_another(ctx: Context, user: User, *, by: Actor) -> None:
    """Require another administrator if this user is one who is about to be removed.

    Commands may remove the last administrator. Call this under `lock_admins`. Raises Forbidden.
    """
    if by == COMMAND or user.is_blocked or not may_administer(ctx, user):
        return
    if not await user_queries.has_admin(excluding=user.id, excluding_phones=ctx.test_phones):
        raise Forbidden(
            "This is the last administrator. Appoint another one first, or use the commands "
            "`referral admin revoke` or `referral users` on the server."
        )


async def grant(ctx: Context, text: str) -> tuple[str, bool]:
    """Make the user of a phone an administrator: now, or at the first sign-in.

    Return the phone and whether it has an account already. Raises InvalidPhone, UnsupportedPhone,
    Forbidden.
    """
    phone = phones.parse(text, ctx.phone_rules)
    require_eligible(ctx, phone)

    async def work() -> bool:
        user = await user_queries.find_by_phone(phone)
        if user is None:
            await user_queries.add_admin_grant(phone)
        elif not user.is_admin:
            await _set_admin(ctx, user, "admin_granted", is_admin=True)
        return user is not None

    has_account = await database.transaction(work)
    if not has_account:
        observability.record("admin_grant_saved", phone=phone)
    return phone, has_account


async def redeem_grant(ctx: Context, user: User) -> None:
    """Make a new user an administrator if there is a pending grant for the phone.

    Call this inside the transaction that creates the user.
    """
    if user.phone is None or not proves_ownership(ctx, user.phone):
        return
    if await user_queries.consume_admin_grant(user.phone):
        await _set_admin(ctx, user, "admin_granted", is_admin=True)


async def revoke(ctx: Context, text: str) -> tuple[str, bool]:
    """Make the user of a phone an ordinary user, or cancel the phone's pending grant.

    Return the phone and whether there was anything to revoke. Raises InvalidPhone and
    UnsupportedPhone.
    """
    # A phone that is typed as it is stored counts, even if it is parsed as another one by now
    phone = text.strip()
    if await user_queries.find_by_phone(phone) is None:
        phone = phones.parse(text, ctx.phone_rules.unrestricted)

    async def work() -> bool:
        await user_queries.lock_admins()
        had_grant = await user_queries.consume_admin_grant(phone)
        user = await user_queries.find_by_phone(phone)
        if user is None or not user.is_admin:
            return had_grant
        await _set_admin(ctx, user, "admin_revoked", is_admin=False)
        return True

    revoked = await database.transaction(work)
    return phone, revoked


async def _find_key(token: str) -> FoundKey:
    key = await api_key_queries.find(api_key.digest(token))
    if key is None:
        raise Unauthorized(
            "This API key does not exist or was revoked. Use another.", reason="no such key"
        )
    return key


async def _set_admin(ctx: Context, user: User, action: str, *, is_admin: bool) -> None:
    if not await user_queries.set_fields(user.id, is_admin=is_admin):
        raise database.Conflict
    await audit.record(ctx, action, by=COMMAND, user=user.id)
