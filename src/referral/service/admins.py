"""Who may administer."""

from __future__ import annotations

from collections.abc import Collection

from referral.core import phone as phones
from referral.core.errors import Forbidden
from referral.core.phone import Rules
from referral.service import outcomes
from referral.storage import users


async def grant(
    text: str, *, rules: Rules, test_phones: Collection[str], open_demo: bool
) -> tuple[str, bool]:
    """Make a phone's user an administrator, now or at the first sign-in.

    Answers the phone and whether it has an account already. Raises InvalidPhone,
    UnsupportedPhone, Forbidden.
    """
    if open_demo:
        raise Forbidden(
            "In production with the simulated gateway anybody can sign in as any phone, so nobody "
            "is an administrator. Set a real gateway first."
        )
    phone = phones.read(text, rules)
    if phone in test_phones:
        raise Forbidden("A test phone has a fixed code. Use another phone.")
    has_account = await users.grant_admin(phone)
    outcomes.record("admin_granted", phone=phone, has_account=has_account)
    return phone, has_account


async def revoke(text: str, *, rules: Rules) -> tuple[str, bool]:
    """Take it back. Answers the phone and whether there was anything to take."""
    phone = phones.read(text, rules)
    revoked = await users.revoke_admin(phone)
    outcomes.record("admin_revoked", phone=phone, revoked=revoked)
    return phone, revoked
