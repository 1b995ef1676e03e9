"""Build the context that use cases run with, for the application and for commands."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from referral import observability
from referral.context import Context
from referral.core.concurrency import ConcurrencyLimiter
from referral.core.keys import Keyring, Purpose
from referral.core.tokens import Issuer
from referral.limits.global_limits import GlobalLimits
from referral.limits.keyed_locks import KeyedLocks
from referral.limits.pumping.traffic import Traffic
from referral.messaging import messages
from referral.messaging.deliveries import Deliveries
from referral.messaging.gateways import Gateway, urls
from referral.messaging.gateways.chain import Chain
from referral.openid.clients import PublicOrigins
from referral.openid.signing_keys import SigningKeys
from referral.service import data_keys
from referral.service.health import Readiness
from referral.service.invite_opens import InviteOpens
from referral.settings import Settings
from referral.webhooks.signature import Endpoint

# How long one gateway may take. It is less if several share messages.DEADLINE_SECONDS
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
    stored_keys = await data_keys.load(keys, now=clock(), token_bytes=secrets.token_bytes)
    return Context(
        keys=keys,
        data_keys=stored_keys,
        limiter=limiter,
        keyed_locks=KeyedLocks(limiter),
        global_limits=GlobalLimits(settings.limits, stored_keys.current(Purpose.COUNTER).secret),
        cost_guard=settings.cost_guard,
        traffic=Traffic(),
        invite_opens=InviteOpens(),
        deliveries=Deliveries(),
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
        gateway=_chain(
            [gateway] if gateway else [urls.build(url, clock) for url in settings.sms_urls]
        ),
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


def _chain(gateways: list[Gateway]) -> Chain:
    # A second is left for the database, which charges the message to a fallback
    share = (messages.DEADLINE_SECONDS - 1) / len(gateways)
    return Chain(
        gateways, timeout=min(_GATEWAY_SECONDS, share), on_attempt=observability.gateway_attempted
    )
