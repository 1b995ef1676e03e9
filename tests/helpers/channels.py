"""Fake providers of all channels, and the settings that use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from fake_channels import SMS, TELEGRAM, VOICE, WHATSAPP
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
from referral.core.channels import Channel


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


def _hook_url(fake: FakeGateway) -> str:
    return f"hook+{fake.url}?secret={HOOK_SECRET}"


def _url_setting(channel: Channel) -> str:
    return f"REFERRAL_{channel}_URL".upper()
