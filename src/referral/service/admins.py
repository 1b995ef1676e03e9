"""Who may administer."""

from __future__ import annotations

from referral.core import phone as phones
from referral.core.phone import Rules
from referral.service import outcomes
from referral.storage import users


async def grant(text: str, *, rules: Rules) -> tuple[str, bool]:
    """Make a phone's user an administrator, now or at the first sign-in.

    Answers the phone and whether it has an account already. Raises InvalidPhone,
    UnsupportedPhone.
    """
    phone = phones.read(text, rules)
    has_account = await users.grant_admin(phone)
    outcomes.record("admin_granted", phone=phone, has_account=has_account)
    return phone, has_account


async def revoke(text: str, *, rules: Rules) -> tuple[str, bool]:
    """Take it back. Answers the phone and whether there was anything to take."""
    phone = phones.read(text, rules)
    revoked = await users.revoke_admin(phone)
    outcomes.record("admin_revoked", phone=phone, revoked=revoked)
    return phone, revoked
