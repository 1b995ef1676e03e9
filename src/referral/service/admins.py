"""Who may administer."""

from __future__ import annotations

from referral import observability
from referral.context import COMMAND, Actor, Caller, Context
from referral.core import api_key
from referral.core import phone as phones
from referral.core.errors import Forbidden, Unauthorized
from referral.service import access, audit
from referral.service.access import Authenticated
from referral.storage import api_keys, database, users
from referral.storage.models import User


async def authenticate(ctx: Context, token: str, *, caller: Caller) -> Actor:
    """Who administers with this bearer token: an administrator's, or an API key.

    Raises Unauthorized, AccountBlocked, Forbidden.
    """
    if api_key.is_api_key(token):
        name = await api_keys.find_name(api_key.digest(token))
        if name is None:
            raise Unauthorized("This API key is not known here. Use another.", reason="no such key")
        return Actor.key(name, caller)
    return actor(ctx, await access.authenticate(ctx, token), caller=caller)


def actor(ctx: Context, signed_in: Authenticated, *, caller: Caller) -> Actor:
    """A signed-in user as administrator. Raises Forbidden."""
    if not may_administer(ctx, signed_in.user):
        raise Forbidden(
            "This operation is for administrators and API keys alone. "
            "Whoever runs the service can make one: `referral admin grant`, `referral key new`."
        )
    if not signed_in.proof.proves_ownership:
        raise Forbidden(
            "This session began where anybody could sign in with this phone. Sign in again.",
            reason="a session of an open demo or a test phone",
        )
    return Actor.user(signed_in.user.id, caller, signed_in_at=signed_in.signed_in_at)


def is_proof(ctx: Context, phone: str | None) -> bool:
    """Whether the code that signs a phone in proves it, under the settings in force."""
    return ctx.admins_allowed and phone not in ctx.test_phones


def may_administer(ctx: Context, user: User) -> bool:
    """Whether a user is an administrator under the settings in force."""
    return user.is_admin and is_proof(ctx, user.phone)


def require_eligible(ctx: Context, phone: str | None) -> None:
    """Raises Forbidden where the user of this phone can be no administrator."""
    if not ctx.admins_allowed:
        raise Forbidden(
            "In production with the simulated gateway anybody can sign in as any phone, so nobody "
            "is an administrator. Set a real gateway first."
        )
    if phone in ctx.test_phones:
        raise Forbidden("A test phone has a fixed code. Use another phone.")


async def require_another(ctx: Context, user: User, *, by: Actor) -> None:
    """Let no user who is the last administrator be taken away over HTTP: raises Forbidden.

    To be called under `users.lock_admins`.
    """
    if by == COMMAND or user.is_blocked or not may_administer(ctx, user):
        return
    if not await users.has_admin(excluding=user.id, excluding_phones=ctx.test_phones):
        raise Forbidden(
            "This is the last administrator. Make another one first, or do it on the machine, "
            "with `referral admin revoke` or `referral users`."
        )


async def grant(ctx: Context, text: str) -> tuple[str, bool]:
    """Make a phone's user an administrator, now or at the first sign-in.

    Answers the phone and whether it has an account already. Raises InvalidPhone,
    UnsupportedPhone, Forbidden.
    """
    phone = phones.parse(text, ctx.phone_rules)
    require_eligible(ctx, phone)

    async def work() -> bool:
        user = await users.find_by_phone(phone)
        if user is None:
            await users.add_admin_grant(phone)
        elif not user.is_admin:
            await _set_admin(ctx, user, "admin_granted", is_admin=True)
        return user is not None

    has_account = await database.transaction(work)
    if not has_account:
        observability.record("admin_grant_waits", phone=phone)
    return phone, has_account


async def take_grant(ctx: Context, user: User) -> None:
    """Make a new user an administrator where a grant waited. Inside a transaction under way."""
    if user.phone is None or not is_proof(ctx, user.phone):
        return
    if await users.consume_admin_grant(user.phone):
        await _set_admin(ctx, user, "admin_granted", is_admin=True)


async def revoke(ctx: Context, text: str) -> tuple[str, bool]:
    """Take it back, a waiting grant too. Answers the phone and whether there was anything."""
    phone = text.strip()
    if await users.find_by_phone(phone) is None:
        phone = phones.parse(text, ctx.phone_rules.unrestricted)

    async def work() -> bool:
        await users.lock_admins()
        waited = await users.consume_admin_grant(phone)
        user = await users.find_by_phone(phone)
        if user is None or not user.is_admin:
            return waited
        await _set_admin(ctx, user, "admin_revoked", is_admin=False)
        return True

    revoked = await database.transaction(work)
    return phone, revoked


async def _set_admin(ctx: Context, user: User, action: str, *, is_admin: bool) -> None:
    if not await users.set_fields(user.id, is_admin=is_admin):
        raise database.Conflict
    await audit.record(ctx, action, by=COMMAND, user=user.id)
