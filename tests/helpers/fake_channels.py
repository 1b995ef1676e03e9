"""The fake provider of each channel, ways in which it fails, and waiting for messages."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_gateways import (
    hook_server,
    telegram_error,
    telegram_gateway,
    twilio_error,
    twilio_voice,
    whatsapp_cloud,
    whatsapp_error,
)
from referral.core.channels import Channel
from referral.storage import database

SMS, TELEGRAM, WHATSAPP, VOICE = Channel.SMS, Channel.TELEGRAM, Channel.WHATSAPP, Channel.VOICE

FAKES = {
    SMS: hook_server,
    TELEGRAM: telegram_gateway,
    WHATSAPP: whatsapp_cloud,
    VOICE: twilio_voice,
}
ABOUT_PHONE: dict[Channel, tuple[int, Any]] = {
    SMS: (400, None),
    TELEGRAM: telegram_error("PHONE_NUMBER_NOT_AVAILABLE"),
    WHATSAPP: whatsapp_error(131026),
    VOICE: twilio_error(400, 21211),
}
BAD_CREDENTIALS: dict[Channel, tuple[int, Any]] = {
    SMS: (401, None),
    TELEGRAM: telegram_error("ACCESS_TOKEN_INVALID", 401),
    WHATSAPP: whatsapp_error(190, 401),
    VOICE: twilio_error(401, 20003),
}


async def sent_to_the_end() -> None:
    """Wait until no message is on its way through the channels, and all are counted."""
    async with asyncio.timeout(15):
        await database.finish_tasks()
