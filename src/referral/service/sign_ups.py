"""Sign-ups: decide whether a new phone may join, and grant it to phones that need no invitation."""

from __future__ import annotations

from referral import observability
from referral.context import Context
from referral.core import phone as phones
from referral.core.errors import InvitationRequired, SignUpClosed
from referral.core.sign_up import CLOSED, OPEN
from referral.storage import database, sign_up_grants
from referral.storage import users as user_queries


async def require_allowed(ctx: Context, phone: str, *, has_invite_code: bool) -> bool:
    """Require that a new phone may sign up. Return whether it may only by its invite code.

    Call it once the sign-in code has been found right. Raises InvitationRequired, SignUpClosed.
    """
    if ctx.sign_up.mode == OPEN or await sign_up_grants.is_named(phone):
        return False
    if ctx.sign_up.mode == CLOSED:
        raise SignUpClosed
    if not has_invite_code:
        raise InvitationRequired
    return True


async def grant(ctx: Context, text: str) -> tuple[str, bool]:
    """Let a phone sign up without an invitation, also while sign-up is closed.

    Return the phone and whether it has an account already: then nothing changes. Raises
    InvalidPhone, UnsupportedPhone.
    """
    phone = phones.parse(text, ctx.phone_rules)

    async def work() -> bool:
        has_account = await user_queries.find_by_phone(phone) is not None
        if not has_account:
            await sign_up_grants.add(phone)
        return has_account

    has_account = await database.transaction(work)
    if not has_account:
        observability.record("sign_up_grant_saved", phone=phone)
    return phone, has_account
