"""The providers of the channels other than SMS. Each has one gateway, and sends delivery reports.

To add one, write its file in this folder and its entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from referral.core.channels import Channel
from referral.messaging.gateways import Gateway, telegram, voice, whatsapp
from referral.messaging.gateways.registry import Check
from referral.messaging.gateways.reports import Report

REPORTS_PATH = "/hooks/delivery"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """A request with delivery reports.

    headers: by their names in lower case. url: the public one. now: when it came, in UTC.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of a channel."""

    channel: Channel
    name: str
    """In the path of its delivery reports."""
    setting: str
    """The variable with its URL."""
    check: Check
    api: Callable[[str], str]
    """api(url): the origin of its API, for `referral doctor` to check."""
    build: Callable[[str, int, str | None], Gateway]
    """build(url, life of a code in seconds, the public HTTPS URL for its delivery reports)."""
    reports: Callable[[str, ReportRequest], list[Report]]
    """reports(url, request): its delivery reports. Raises ReportError if they are not its own."""


def reports_url(public_url: str, provider: Provider) -> str:
    """Return the URL to which a provider sends its delivery reports."""
    return f"{public_url}{REPORTS_PATH}/{provider.name}"


PROVIDERS = (
    Provider(
        channel=Channel.TELEGRAM,
        name="telegram",
        setting="REFERRAL_TELEGRAM_URL",
        check=telegram.check,
        api=lambda url: telegram.parse(url).api,
        build=lambda url, life, callback: telegram.TelegramGateway(
            telegram.parse(url), ttl=life, callback_url=callback
        ),
        reports=lambda url, request: telegram.reports(
            request.headers, request.body, credentials=telegram.parse(url), now=request.now
        ),
    ),
    Provider(
        channel=Channel.WHATSAPP,
        name="whatsapp",
        setting="REFERRAL_WHATSAPP_URL",
        check=whatsapp.check,
        api=lambda url: whatsapp.parse(url).api,
        # Its delivery reports go to the address in the settings of the app
        build=lambda url, _life, _callback: whatsapp.WhatsAppCloud(whatsapp.parse(url)),
        reports=lambda url, request: whatsapp.reports(
            request.headers, request.body, credentials=whatsapp.parse(url)
        ),
    ),
    Provider(
        channel=Channel.VOICE,
        name="twilio",
        setting="REFERRAL_VOICE_URL",
        check=voice.check,
        api=lambda url: voice.parse(url).api,
        build=lambda url, _life, callback: voice.TwilioVoice(
            voice.parse(url), callback_url=callback
        ),
        reports=lambda url, request: voice.reports(
            request.headers, request.body, credentials=voice.parse(url), url=request.url
        ),
    ),
)
