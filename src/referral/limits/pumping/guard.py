"""The guard against messages that somebody pumps: sent, paid for, and never used.

Known devices that use their messages pass, and count nowhere: they cannot be had without a sign-in.
Nor do test phones, to which nothing is sent. limits/pumping/rules.py has the rules.
"""

from __future__ import annotations

from datetime import datetime

from referral import observability
from referral.context import Caller, Parts
from referral.core.phone import country, mask
from referral.limits import gcra
from referral.limits.guess_policy import Subject
from referral.limits.pumping.rules import Block
from referral.webhooks import events

BLOCK, OFF = "block", "off"


async def take(parts: Parts, subject: Subject, *, caller: Caller, at: datetime) -> Block | None:
    """Count a message that is about to be sent, unless it is refused; `warn` only records it.

    Nothing is waited for between the last look and the count, so that many at once get no more
    than many one after another.
    """
    if not _is_guarded(parts, subject):
        return None
    block = await parts.send_tallies.take(subject, at)
    if block is None or parts.cost_guard == BLOCK:
        return block
    await record(parts, subject, block, caller=caller, at=at)
    parts.send_tallies.sent(subject, at)
    return None


def look(parts: Parts, subject: Subject, at: datetime) -> Block | None:
    """Whether a message is refused, as far as this process knows."""
    if parts.cost_guard != BLOCK or not _is_guarded(parts, subject):
        return None
    return parts.send_tallies.judge(subject, at)


def count(parts: Parts, subject: Subject, at: datetime) -> None:
    """Count a message that was not asked for by itself."""
    if _is_guarded(parts, subject):
        parts.send_tallies.sent(subject, at)


def give_back(parts: Parts, subject: Subject, at: datetime) -> None:
    """The message that was counted at this moment was not sent."""
    if _is_guarded(parts, subject):
        parts.send_tallies.not_sent(subject, at)


def signed_in(parts: Parts, subject: Subject) -> None:
    """A challenge was redeemed. subject: with the address that it was asked for from."""
    if _is_guarded(parts, subject):
        parts.send_tallies.signed_in(subject, parts.clock())


async def record(
    parts: Parts, subject: Subject, block: Block, *, caller: Caller, at: datetime
) -> None:
    is_refused, region = parts.cost_guard == BLOCK, country(subject.phone)
    is_first = observability.message_blocked(
        block.place.limit,
        block.place.key,
        country=region,
        phone=subject.phone,
        caller=caller,
        now=gcra.microseconds(at),
        refused=is_refused,
    )
    if is_first and is_refused:
        await events.add_message_blocked(
            parts, reason=block.place.limit, country=region, phone=mask(subject.phone)
        )


def _is_guarded(parts: Parts, subject: Subject) -> bool:
    return (
        parts.cost_guard != OFF
        and not subject.is_exempt
        and parts.fixed_code(subject.phone) is None
    )
