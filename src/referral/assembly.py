"""Build the context that use cases run with, for the application and for commands."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from referral import observability
from referral.context import Context
from referral.core.channels import Channel
from referral.core.concurrency import ConcurrencyLimiter
from referral.core.keys import Keyring, Purpose
from referral.core.tokens import Issuer
from referral.limits.global_limits import GlobalLimits
from referral.limits.keyed_locks import KeyedLocks
from referral.limits.pumping.traffic import Traffic
from referral.messaging.channels import DEADLINE_SECONDS, Channels
from referral.messaging.deliveries import Deliveries
from referral.messaging.gateways import Failure, Gateway, Message, urls
from referral.messaging.gateways.chain import Chain
from referral.messaging.gateways.providers import PROVIDERS, reports_url
from referral.openid.clients import PublicOrigins
from referral.openid.signing_keys import SigningKeys
from referral.service import data_keys
from referral.service.health import Readiness
from referral.service.invite_opens import InviteOpens
from referral.settings import Settings
from referral.webhooks.signature import Endpoint

# How long one gateway may take. It is less if several have to share DEADLINE_SECONDS
_GATEWAY_SECONDS = 8.0


def system_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the only clock


async def assemble(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = system_clock,
    randbelow: Callable[[int], int] = secrets.randbelow,
    gateway: Gateway | None = None,
    limiter: ConcurrencyLimiter | None = None,
) -> Context:
    """Build the context of the use cases. The database must be connected."""
    limiter = limiter or ConcurrencyLimiter()
    keys = Keyring(settings.secrets)
    deliveries = Deliveries()
    stored_keys = await data_keys.load(keys, now=clock(), token_bytes=secrets.token_bytes)
    return Context(
        keys=keys,
        data_keys=stored_keys,
        limiter=limiter,
        keyed_locks=KeyedLocks(limiter),
        global_limits=GlobalLimits(settings.limits, stored_keys.current(Purpose.COUNTER).secret),
        cost_guard=settings.cost_guard,
        traffic=Traffic(),
        deliveries=deliveries,
        invite_opens=InviteOpens(),
        readiness=Readiness(),
        signing_keys=SigningKeys(),
        public_origins=PublicOrigins(),
        endpoint=Endpoint(settings.webhook_url, settings.webhook_secrets)
        if settings.webhook_url
        else None,
        issuer=Issuer(
            url=settings.public_url,
            audience=settings.audience,
            access_life=settings.limits.access_life,
        ),
        limits=settings.limits,
        phone_rules=settings.phone_rules,
        test_phones=settings.test_phones,
        admins_allowed=not settings.is_open_demo,
        sign_up=settings.sign_up,
        channels=_channels(settings, clock, randbelow, gateway, deliveries),
        app_name=settings.app_name,
        languages=settings.locales.languages,
        domain=urlsplit(settings.public_url).hostname or "",
        invite_url=settings.invite_url,
        masks_invitees=settings.masks_invitees,
        trusted_proxies=settings.trusted_proxies,
        clock=clock,
        randbelow=randbelow,
        token_bytes=secrets.token_bytes,
    )


def _channels(
    settings: Settings,
    clock: Callable[[], datetime],
    randbelow: Callable[[int], int],
    gateway: Gateway | None,
    deliveries: Deliveries,
) -> Channels:
    is_https = settings.public_url.startswith("https://")
    gateways = {
        Channel.SMS: [gateway]
        if gateway
        else [urls.build(url, clock) for url in settings.sms_urls],
        **{
            provider.channel: [
                provider.build(
                    settings.channels.urls[provider.channel],
                    settings.limits.code_life,
                    reports_url(settings.public_url, provider) if is_https else None,
                )
            ]
            for provider in PROVIDERS
            if provider.channel in settings.channels.urls
        },
    }
    # A second is left for the database, which charges the message to a fallback. A requested call
    # has no share: it comes before all others, whose outcome the caller may then not wait for
    sharing = sum(len(found) for channel, found in gateways.items() if channel is not Channel.VOICE)
    share = (DEADLINE_SECONDS - 1) / max(sharing, 1)
    return Channels(
        rules=settings.channels.rules,
        chains={
            channel: Chain(
                found,
                timeout=min(_GATEWAY_SECONDS, share),
                on_attempt=partial(_attempted, clock, deliveries, channel),
            )
            for channel, found in gateways.items()
            if found
        },
        urls=settings.channels.urls,
        app_hashes=settings.channels.app_hashes,
        randbelow=randbelow,
    )


def _attempted(
    clock: Callable[[], datetime],
    deliveries: Deliveries,
    channel: Channel,
    gateway: str,
    message: Message,
    failure: Failure | None,
    reason: str,
) -> None:
    """Record an attempt, and count a code as sent if it may have been accepted."""
    observability.gateway_attempted(gateway, message.phone, failure, reason)
    if message.code is not None and (failure is None or failure.is_uncertain):
        deliveries.count_sent(message.phone, channel, clock())
