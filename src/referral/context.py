"""What the use cases are given; app.py assembles it once, from the settings."""

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
from referral.core.tokens import Issuer

if TYPE_CHECKING:
    from referral.limits.global_limits import GlobalLimits
    from referral.limits.keyed_locks import KeyedLocks
    from referral.limits.policy import Limits
    from referral.limits.pumping.traffic import Traffic
    from referral.messaging.gateways.chain import Chain
    from referral.service.health import Readiness
    from referral.webhooks.signature import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The rules in force, the keys, and the ways to time, chance and phones."""

    keys: Keyring
    data_keys: Keyring
    issuer: Issuer
    limits: Limits
    phone_rules: PhoneRules
    test_phones: Mapping[str, FixedCode]
    admins_allowed: bool
    gateway: Chain
    app_name: str
    domain: str
    """The host of the public URL, to which browsers bind codes."""
    invite_url: str
    """Where invite links lead, with `{code}` in it."""
    trusted_proxies: int
    limiter: ConcurrencyLimiter
    keyed_locks: KeyedLocks
    global_limits: GlobalLimits
    cost_guard: str
    """`block`, `warn` or `off`."""
    traffic: Traffic
    endpoint: Endpoint | None
    """The team's receiver of events; None: nothing is written for it."""
    readiness: Readiness
    wake_dispatcher: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process has written an event."""
    clock: Callable[[], datetime]
    randbelow: Callable[[int], int]
    token_bytes: Callable[[int], bytes]

    def fixed_code(self, phone: str) -> str | None:
        """The code of a test phone, while it is one."""
        test = self.test_phones.get(phone)
        return test.code if test is not None and self.clock().date() <= test.until else None

    @property
    def counter_key(self) -> bytes:
        """Derives the keys of counters."""
        return self.data_keys.current(Purpose.COUNTER).secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a request comes from, as far as the connection tells."""

    address: str
    user_agent: str | None
    language: str = i18n.DEFAULT
    """One of i18n.LANGUAGES."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit trail names them: `user:ID`, `key:NAME` or `command`."""

    name: str
    address: str | None = None
    signed_in_at: datetime | None = None
    """Of the session of an administrator."""

    @classmethod
    def user(cls, user_id: UUID, caller: Caller, *, signed_in_at: datetime | None = None) -> Actor:
        return cls(f"user:{user_id}", caller.address, signed_in_at)

    @classmethod
    def key(cls, name: str, caller: Caller) -> Actor:
        return cls(f"key:{name}", caller.address)


# Whoever may run commands on the machine may do anything
COMMAND = Actor("command")
