"""The dependencies of the use cases; app.py assembles them once, from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from referral import i18n
from referral.core.concurrency import ConcurrencyLimiter
from referral.core.keys import Keyring, Purpose
from referral.core.phone import FixedCode, PhoneRules
from referral.core.sign_up import SignUpRules
from referral.core.tokens import Issuer
from referral.i18n import Languages

if TYPE_CHECKING:
    from referral.limits.global_limits import GlobalLimits
    from referral.limits.keyed_locks import KeyedLocks
    from referral.limits.policy import Limits
    from referral.limits.pumping.traffic import Traffic
    from referral.messaging.channels import Channels
    from referral.messaging.deliveries import Deliveries
    from referral.openid.clients import PublicOrigins
    from referral.openid.signing_keys import SigningKeys
    from referral.service.health import Readiness
    from referral.service.invite_opens import InviteOpens
    from referral.webhooks.signature import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The dependencies of a use case: keys, limits, channels, clock and sources of randomness."""

    keys: Keyring
    """Derived from REFERRAL_SECRET, to sign access tokens and encrypt challenges."""
    data_keys: Keyring
    """Derived from the data keys in the database, which survive a rotation of the secret."""
    issuer: Issuer
    limits: Limits
    phone_rules: PhoneRules
    test_phones: Mapping[str, FixedCode]
    admins_allowed: bool
    """False in an open demo, where anybody could sign in as the administrator."""
    sign_up: SignUpRules
    """The operator's rules about sign-up and activations."""
    channels: Channels
    app_name: str
    languages: Languages
    """Those that the service offers, with the team's own texts."""
    domain: str
    """The host of the public URL. Browsers fill in a code only on the domain that its SMS names."""
    invite_url: str
    """The address of invite links, with the placeholder `{code}`."""
    masks_invitees: bool
    """Whether inviters see only a part of their invitees' phones."""
    trusted_proxies: int
    limiter: ConcurrencyLimiter
    keyed_locks: KeyedLocks
    global_limits: GlobalLimits
    cost_guard: str
    """`block`, `warn` or `off`."""
    traffic: Traffic
    deliveries: Deliveries
    invite_opens: InviteOpens
    endpoint: Endpoint | None
    """The webhook endpoint. If it is None, no events are written to the outbox."""
    readiness: Readiness
    signing_keys: SigningKeys
    """The key pairs of ID tokens."""
    public_origins: PublicOrigins
    """The origins of single-page apps, which may call the token endpoint."""
    wake_dispatcher: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process has written an event to the outbox."""
    clock: Callable[[], datetime]
    randbelow: Callable[[int], int]
    token_bytes: Callable[[int], bytes]

    def fixed_code(self, phone: str) -> str | None:
        """Return the fixed code of a test phone, or None if it is not one or no longer one."""
        test = self.test_phones.get(phone)
        return test.code if test is not None and self.clock().date() <= test.until else None

    @property
    def counter_key(self) -> bytes:
        """The secret from which the keys of the counters of limits are derived."""
        return self.data_keys.current(Purpose.COUNTER).secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The client of a request, as its connection and headers describe it."""

    address: str
    user_agent: str | None
    language: str = i18n.DEFAULT
    """The tag of one that the service offers."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of an action, named as in the audit trail: `user:ID`, `key:NAME` or `command`."""

    name: str
    address: str | None = None
    signed_in_at: datetime | None = None
    """When the session began, for a signed-in administrator."""
    reason: str | None = None
    """Why they do it, in their own words. The audit trail keeps it, the log does not."""

    @classmethod
    def user(cls, user_id: UUID, caller: Caller, *, signed_in_at: datetime | None = None) -> Actor:
        return cls(f"user:{user_id}", caller.address, signed_in_at)

    @classmethod
    def key(cls, name: str, caller: Caller) -> Actor:
        return cls(f"key:{name}", caller.address)


# Commands run on the machine itself and are not restricted
COMMAND = Actor("command")
