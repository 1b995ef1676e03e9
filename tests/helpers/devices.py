"""Helpers for known devices: those that send a device token of the phone."""

from __future__ import annotations

from referral.core import challenge as challenges
from referral.core.keys import Keyring, Purpose
from support import SECRET, Service


async def is_known(service: Service, phone: str, device_token: str) -> bool:
    """Whether a code requested with this token counts as requested from a known device."""
    service.clock.move(seconds=3)
    sent = await service.send_code(phone, device_token=device_token)
    opened = challenges.decrypt(
        sent["token"],
        purpose=Purpose.SIGN_IN,
        now=service.clock(),
        keys=Keyring([SECRET.encode()]),
    )
    return opened.known_device
