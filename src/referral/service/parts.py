"""What the use cases are given; app.py assembles it once, from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from referral.core.keys import Keyring, Purpose
from referral.core.limits import Limits
from referral.core.phone import FixedCode, Rules
from referral.core.tokens import Issuer
from referral.gateways import Gateway
from referral.service.send_tallies import SendTallies
from referral.service.totals import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rules in force, the keys, and the ways to time, chance and phones."""

    keys: Keyring
    kept: Keyring
    issuer: Issuer
    limits: Limits
    phone_rules: Rules
    test_phones: Mapping[str, FixedCode]
    admins_allowed: bool
    gateway: Gateway
    app_name: str
    invite_url: str
    """Where invite links lead, with `{code}` in it."""
    trusted_proxies: int
    totals: Totals
    cost_guard: str
    """`block`, `warn` or `off`."""
    send_tallies: SendTallies
    clock: Callable[[], datetime]
    randbelow: Callable[[int], int]
    token_bytes: Callable[[int], bytes]

    @property
    def counter_key(self) -> bytes:
        """Derives the keys of counters."""
        return self.kept.first(Purpose.COUNTER).secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a request comes from, as far as the connection tells."""

    address: str
    user_agent: str | None
