"""The operator's rules about sign-up and activations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

OPEN, INVITED, CLOSED = "open", "invited", "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpRules:
    """The modes and limits of sign-up and of invite codes.

    mode: `open`, `invited` or `closed`. invites_per_user: 0 for no limit. activation_days: how long
    after sign-up, or after a void, a user may activate an invite code; 0 for no limit.
    """

    mode: str = OPEN
    invites_per_user: int = 0
    activation_days: int = 0

    def may_activate(self, *, since: datetime, now: datetime) -> bool:
        """Return whether a user may activate an invite code.

        since: when they signed up or, if it was later, when their activation was voided.
        """
        return not self.activation_days or now <= since + timedelta(days=self.activation_days)

    def has_place(self, taken: int) -> bool:
        """Return whether an invite code can admit one more person. taken: how many it has."""
        return not self.invites_per_user or taken < self.invites_per_user
