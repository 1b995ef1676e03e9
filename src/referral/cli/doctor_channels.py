"""Describe the channels for `referral doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from referral.core.channels import Channel, ChannelRules
from referral.core.keys import Keyring, Purpose
from referral.messaging.gateways import whatsapp_reports
from referral.messaging.gateways.providers import PROVIDERS, reports_url
from referral.settings import Settings
from referral.webhooks.signature import LOOPBACK

_ANYWHERE = ""


def describe(settings: Settings, keys: Keyring) -> Iterator[tuple[str, str]]:
    """Return labels and lines about the channels; none if SMS is the only one."""
    if not settings.channels.urls:
        return
    rules = settings.channels.rules
    yield "channels", _order(rules, _ANYWHERE)
    for region in sorted(rules.order_of):
        yield "", f"{region}: {_order(rules, region)}"
    if Channel.SMS not in rules.available:
        yield "", "without SMS, a change of phone is not announced to the old phone"
    for provider in PROVIDERS:
        if provider.channel in rules.available:
            url = reports_url(settings.public_url, provider)
            yield "reports", f"{provider.name}: {_reports(provider.channel, url, keys)}"


def list_hosts(settings: Settings) -> list[tuple[str, str, str | None]]:
    """Return the role, the name and the URL of each provider's API."""
    urls = settings.channels.urls
    apis = [
        (provider.name, provider.parse(urls[provider.channel]).api)
        for provider in PROVIDERS
        if provider.channel in urls
    ]
    return [
        # With the parameter api= of a trial
        ("gateway", f"{name} at {api}" if urlsplit(api).hostname in LOOPBACK else name, api)
        for name, api in apis
    ]


def _order(rules: ChannelRules, region: str) -> str:
    calls = "; voice on request" if Channel.VOICE in rules.available else ""
    return _then(rules.plan(region)) + calls


def _then(channels: Sequence[Channel]) -> str:
    return ", then ".join(channels)


def _reports(channel: Channel, url: str, keys: Keyring) -> str:
    is_https = url.startswith("https://")
    if channel is Channel.WHATSAPP:
        token = whatsapp_reports.verify_token(keys.current(Purpose.HANDSHAKE).secret)
        needs = "" if is_https else ", which needs a public URL with https"
        return f"enter {url} and the verify token {token} in the settings of the app at Meta{needs}"
    if is_https:
        return f"to {url}, which each message names"
    return "none, since the public URL is not https"
