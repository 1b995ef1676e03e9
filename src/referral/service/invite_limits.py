"""How many invite codes somebody may try that do not exist.

Looked at before, counted after: codes that exist cost nobody anything, however many people behind
one address use them at once. What slips through is what was under way when the last try was taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from referral.core import buckets, budgets
from referral.core.buckets import Charge
from referral.core.budgets import Subject
from referral.core.errors import TooManyRequests, UnknownInviteCode
from referral.service import outcomes
from referral.service.parts import Caller, Parts
from referral.storage import counters


@asynccontextmanager
async def counted(
    parts: Parts, caller: Caller, *, user_id: str | None = None
) -> AsyncIterator[None]:
    """Try one invite code inside. Raises TooManyRequests where no try is left."""
    subject = Subject(phone="", address=caller.address, known_device=False, key=parts.counter_key)
    charges = budgets.unknown_invite_code(parts.limits, subject, user_id)
    now = buckets.microseconds(parts.clock())
    moments = await counters.read(each.key for each in charges)
    if budgets.first_full(charges, moments, now=now) is not None:
        _refuse(charges, moments, caller, now)
    try:
        yield
    except UnknownInviteCode:
        if await counters.charge(charges, now=now) is None:
            _refuse(charges, await counters.read(each.key for each in charges), caller, now)
        raise


def _refuse(charges: list[Charge], moments: dict[str, int], caller: Caller, now: int) -> None:
    full = budgets.first_full(charges, moments, now=now) or charges[0]
    outcomes.limited(full.name, full.key, caller=caller, now=now)
    raise TooManyRequests.by(full, retry_after=budgets.retry_after(charges, moments, now=now))
