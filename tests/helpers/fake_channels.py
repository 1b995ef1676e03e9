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
from support import eventually

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
class Fakes:
    """A fake provider for each channel, and two gateways for SMS."""

    of: dict[Channel, FakeGateway]
    second_sms: FakeGateway

    @property
    def all(self) -> list[FakeGateway]:
        return [*self.of.values(), self.second_sms]

    def settings(self, *channels: Channel, gateways: int = 1) -> dict[str, str]:
        """Return the settings for these channels, tried in this order; calls only on request.

        gateways: how many SMS gateways, if SMS is among them.
        """
        sms = [self.of[SMS], self.second_sms][:gateways] if SMS in channels else []
        urls = {
            TELEGRAM: f"telegram+gateway://{TELEGRAM_TOKEN}?api={self.of[TELEGRAM].url}",
            WHATSAPP: f"whatsapp+cloud://{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@{WHATSAPP_NUMBER_ID}"
            f"/login_code?languages=en,ru&api={self.of[WHATSAPP].url}",
            VOICE: f"twilio+voice://{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}"
            f"?api={self.of[VOICE].url}",
        }
        hooks = ",".join(f"hook+{each.url}?secret={HOOK_SECRET}" for each in sms)
        return {
            "REFERRAL_SMS_URL": hooks or "none",
            "REFERRAL_CHANNELS": ",".join(each for each in channels if each is not VOICE),
            **{f"REFERRAL_{each}_URL".upper(): urls[each] for each in channels if each in urls},
        }


@contextmanager
def fake_channels() -> Iterator[Fakes]:
    """Run a fake provider for each channel until the block ends."""
    with ExitStack() as stack:
        of = {channel: stack.enter_context(fake()) for channel, fake in FAKES.items()}
        yield Fakes(of, stack.enter_context(hook_server()))


async def sent_to_the_end() -> None:
    """Wait until no message is on its way through the channels."""
    await eventually(lambda: not any(map(_is_sending, asyncio.all_tasks())))


def _is_sending(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__qualname__", "") == "_Sending.run"
