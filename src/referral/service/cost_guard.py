"""The guard against messages that somebody pumps: sent, paid for, and never used.

Known devices pass, and count nowhere: they cannot be had without a sign-in. Nor do test phones,
to which nothing is sent. core/cost_guard.py has the rules.
"""

from __future__ import annotations

from datetime import datetime

from referral.core import buckets
from referral.core.buckets import HOUR, Bucket
from referral.core.budgets import Subject
from referral.core.cost_guard import REFILL_HOURS, Block
from referral.core.errors import TooManyRequests
from referral.core.phone import country
from referral.service import outcomes
from referral.service.parts import Caller, Parts

BLOCK, OFF = "block", "off"


async def take(parts: Parts, subject: Subject, *, caller: Caller, at: datetime) -> None:
    """Count a message that is about to be sent. Raises TooManyRequests; `warn` only records it.

    Nothing is waited for between the look and the count, but where it refuses, so that many at
    once get no more than many one after another.
    """
    if not _is_guarded(parts, subject):
        return
    if block := parts.send_tallies.judge(subject, at):
        await _record(parts, subject, block, caller=caller, at=at)
        if parts.cost_guard == BLOCK:
            place = block.place
            bucket = Bucket(int(place.allowance), REFILL_HOURS * HOUR)
            raise TooManyRequests.by(
                buckets.charge(place.limit, place.key, bucket), retry_after=block.seconds
            )
    parts.send_tallies.sent(subject, at)


async def take_at_once(parts: Parts, subject: Subject, *, caller: Caller, at: datetime) -> bool:
    """As `take`; False, and nothing counted or recorded, where it refuses."""
    if not _is_guarded(parts, subject):
        return True
    if block := parts.send_tallies.judge(subject, at):
        if parts.cost_guard == BLOCK:
            return False
        await _record(parts, subject, block, caller=caller, at=at)
    parts.send_tallies.sent(subject, at)
    return True


def give_back(parts: Parts, subject: Subject, at: datetime) -> None:
    """The message that was counted at this moment was not sent."""
    if _is_guarded(parts, subject):
        parts.send_tallies.not_sent(subject, at)


def signed_in(parts: Parts, subject: Subject) -> None:
    """A challenge was redeemed. subject: with the address that it was asked for from."""
    if _is_guarded(parts, subject):
        parts.send_tallies.signed_in(subject, parts.clock())


async def _record(
    parts: Parts, subject: Subject, block: Block, *, caller: Caller, at: datetime
) -> None:
    await outcomes.sign_in_blocked(
        parts,
        block.place.limit,
        block.place.key,
        country=country(subject.phone),
        phone=subject.phone,
        caller=caller,
        now=buckets.microseconds(at),
        refused=parts.cost_guard == BLOCK,
    )


def _is_guarded(parts: Parts, subject: Subject) -> bool:
    return (
        parts.cost_guard != OFF
        and not subject.known_device
        and parts.fixed_code(subject.phone) is None
    )
