"""How long what is over is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from referral.core import webhooks
from referral.core.limits import Limits

# Long enough to look into an abuse that is noticed late
AUDIT_ADDRESSES = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What lies before these moments is cleared away."""

    signed_in: datetime
    """Of sessions: their sign-in."""
    last_used: datetime
    """Of sessions: their last use."""
    audit_address: datetime
    """Of entries of the audit trail, whose address goes."""
    event_done: datetime
    """Of events for the team's receiver, when they were acknowledged or given up."""


def horizon(limits: Limits, *, now: datetime) -> Horizon:
    return Horizon(
        signed_in=now - timedelta(days=limits.session_max_days),
        last_used=now - timedelta(days=limits.session_idle_days),
        audit_address=now - AUDIT_ADDRESSES,
        event_done=now - webhooks.KEPT,
    )
