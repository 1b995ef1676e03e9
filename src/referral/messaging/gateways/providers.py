"""The providers of the channels other than SMS. Each has one gateway, and sends delivery reports.

To add one, write its file in this folder and its entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from referral.core.channels import Channel
from referral.messaging.gateways import Gateway, telegram, voice, whatsapp, whatsapp_reports
from referral.messaging.gateways.reports import Report, ReportRequest

REPORTS_PATH = "/hooks/delivery"


class Credentials(Protocol):
    """What the URL of a provider says."""

    @property
    def api(self) -> str:
        """The origin of its API, for `referral doctor` to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of a channel."""

    channel: Channel
    name: str
    """In the path of its delivery reports."""
    setting: str
    """The variable with its URL."""
    parse: Callable[[str], Credentials]
    """parse(url). Raises ValueError, whose text shows nothing of the URL."""
    build: Callable[[str, int, str | None], Gateway]
    """build(url, life of a code in seconds, the public HTTPS URL for its delivery reports)."""
    parse_reports: Callable[[str, ReportRequest], list[Report]]
    """parse_reports(url, request). Raises ReportError if they are not its own or malformed."""


def reports_url(public_url: str, provider: Provider) -> str:
    """Return the URL to which a provider sends its delivery reports."""
    return f"{public_url}{REPORTS_PATH}/{provider.name}"


PROVIDERS = (
    Provider(
        channel=Channel.TELEGRAM,
        name="telegram",
        setting="REFERRAL_TELEGRAM_URL",
        parse=telegram.parse,
        build=lambda url, life, callback: telegram.TelegramGateway(
            telegram.parse(url), ttl=life, callback_url=callback
        ),
        parse_reports=lambda url, request: telegram.parse_reports(request, telegram.parse(url)),
    ),
    Provider(
        channel=Channel.WHATSAPP,
        name="whatsapp",
        setting="REFERRAL_WHATSAPP_URL",
        parse=whatsapp.parse,
        # Its delivery reports go to the address in the settings of the app
        build=lambda url, _life, _callback: whatsapp.WhatsAppCloud(whatsapp.parse(url)),
        parse_reports=lambda url, request: whatsapp_reports.parse_reports(
            request, whatsapp.parse(url)
        ),
    ),
    Provider(
        channel=Channel.VOICE,
        name="twilio",
        setting="REFERRAL_VOICE_URL",
        parse=voice.parse,
        build=lambda url, _life, callback: voice.TwilioVoice(
            voice.parse(url), callback_url=callback
        ),
        parse_reports=lambda url, request: voice.parse_reports(request, voice.parse(url)),
    ),
)
