"""A service that sends by every channel, to fake providers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

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
    telegram_gateway,
    twilio_voice,
    whatsapp_cloud,
)


@dataclass(frozen=True)
class Providers:
    """Fake providers of all channels."""

    sms: FakeGateway
    telegram: FakeGateway
    whatsapp: FakeGateway
    voice: FakeGateway

    @property
    def variables(self) -> dict[str, str]:
        """The settings with which a service sends by them."""
        of_whatsapp = f"{WHATSAPP_TOKEN}:{WHATSAPP_SECRET}@{WHATSAPP_NUMBER_ID}/login_code"
        of_voice = f"{TWILIO_SID}:{VOICE_TOKEN}@{TWILIO_SENDER}"
        return {
            "REFERRAL_SMS_URL": f"hook+{self.sms.url}?secret={HOOK_SECRET}",
            "REFERRAL_TELEGRAM_URL": f"telegram+gateway://{TELEGRAM_TOKEN}?api={self.telegram.url}",
            "REFERRAL_WHATSAPP_URL": (
                f"whatsapp+cloud://{of_whatsapp}?languages=en,ru&api={self.whatsapp.url}"
            ),
            "REFERRAL_VOICE_URL": f"twilio+voice://{of_voice}?api={self.voice.url}",
        }

    @property
    def received(self) -> dict[str, int]:
        """How many messages each channel got, without those that got none."""
        found = {name: len(getattr(self, name).requests) for name in self.__dataclass_fields__}
        return {name: number for name, number in found.items() if number}


@contextmanager
def providers() -> Iterator[Providers]:
    """Run fake providers until the block ends."""
    with ExitStack() as stack:
        yield Providers(
            sms=stack.enter_context(hook_server()),
            telegram=stack.enter_context(telegram_gateway()),
            whatsapp=stack.enter_context(whatsapp_cloud()),
            voice=stack.enter_context(twilio_voice()),
        )
