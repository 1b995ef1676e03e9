"""Handing a message to the gateway, which may be slow, fail or never answer."""

from __future__ import annotations

import asyncio
from time import monotonic

from referral.core.errors import SmsUnavailable
from referral.gateways import Message
from referral.service import metrics, outcomes
from referral.service.parts import Parts

# Below the 30 s after which platforms cut a request
DEADLINE_SECONDS = 20
_RETRY_AFTER = 5


async def send(parts: Parts, message: Message) -> None:
    """Raises SmsUnavailable, whatever became of the gateway."""
    begun = monotonic()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await parts.gateway.send(message)
        metrics.GATEWAY.labels("sent").observe(monotonic() - begun)
    except Exception as error:  # noqa: BLE001 - a gateway may raise what it likes
        # Its type alone: a gateway's own words may repeat the phone and the text
        why = type(error).__name__
        metrics.GATEWAY.labels("failed").observe(monotonic() - begun)
        outcomes.record("send_failed", phone=message.phone, reason=why)
        raise SmsUnavailable(reason=why, retry_after=_RETRY_AFTER) from None


async def notify(parts: Parts, message: Message) -> None:
    """As `send`, where nobody waits for it: a failure is recorded, and that is all."""
    try:
        await send(parts, message)
    except SmsUnavailable:
        return
