"""Channels with fake providers: the settings that use them, and ways in which they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from fake_gateways import (
    HOOK_SECRET,
    TELEGRAM_TOKEN,
    TWILIO_SENDER,
    TWILIO_SID,
    VOICE_TOKEN,
    WHATSAPP_NUMBER_ID,
    WHATSAPP_SECRET,
    WHATSAPP_TOKEN,
    FakeGateway,
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


@dataclass(frozen=True)
class Providers:
    """A fake provider for each channel, and another gateway for SMS."""

    sms: FakeGateway
    telegram: FakeGateway
    whatsapp: FakeGateway
    voice: FakeGateway
    second_sms: FakeGateway

    @property
    def of(self) -> dict[Channel, FakeGateway]:
        """The provider of each channel."""
        return {
            SMS: self.sms,
            TELEGRAM: self.telegram,
            WHATSAPP: self.whatsapp,
            VOICE: self.voice,
        }

    @property
    def variables(self) -> dict[str, str]:
        """The settings with which a service sends by them."""
        of_whatsapp = f"{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@{WHATSAPP_NUMBER_ID}/login_code"
        of_voice = f"{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}"
        return {
            "REFERRAL_SMS_URL": _hook_url(self.sms),
            "REFERRAL_TELEGRAM_URL": f"telegram+gateway://{TELEGRAM_TOKEN}?api={self.telegram.url}",
            "REFERRAL_WHATSAPP_URL": (
                f"whatsapp+cloud://{of_whatsapp}?languages=en,ru&api={self.whatsapp.url}"
            ),
            "REFERRAL_VOICE_URL": f"twilio+voice://{of_voice}?api={self.voice.url}",
        }

    def settings(self, *channels: Channel, gateways: int = 1) -> dict[str, str]:
        """Return the settings for only these channels, tried in this order; calls only on request.

        gateways: how many SMS gateways, if SMS is among them.
        """
        found = {name: self.variables[name] for name in map(_url_setting, channels)}
        if SMS not in channels:
            found["REFERRAL_SMS_URL"] = "none"
        elif gateways == 2:
            found["REFERRAL_SMS_URL"] += f",{_hook_url(self.second_sms)}"
        order = ",".join(each for each in channels if each is not VOICE)
        return found | {"REFERRAL_CHANNELS": order}

    @property
    def received(self) -> dict[str, int]:
        """How many messages each channel got, without those that got none."""
        return {name: len(fake.requests) for name, fake in self.of.items() if fake.requests}


@contextmanager
def providers() -> Iterator[Providers]:
    """Run fake providers until the block ends."""
    with ExitStack() as stack:
        yield Providers(
            sms=stack.enter_context(hook_server()),
            telegram=stack.enter_context(telegram_gateway()),
            whatsapp=stack.enter_context(whatsapp_cloud()),
            voice=stack.enter_context(twilio_voice()),
            second_sms=stack.enter_context(hook_server()),
        )


async def sent_to_the_end() -> None:
    """Wait until no message is on its way through the channels, and all are counted."""
    async with asyncio.timeout(15):
        await database.finish_tasks()


def _hook_url(fake: FakeGateway) -> str:
    return f"hook+{fake.url}?secret={HOOK_SECRET}"


def _url_setting(channel: Channel) -> str:
    return f"REFERRAL_{channel}_URL".upper()
