"""SQL for the status of an entry, as reward_status.derive() finds it."""

from __future__ import annotations

from referral.core.reward_status import Status

LIVE = "kind = 'earned' AND reversed_at IS NULL"
"""An earned entry that is not reversed."""

COUNTED = f"{LIVE} AND (review IS NULL OR review = 'approved')"
"""An entry that counts in its user's balance, as pending or available."""

_STATUSES: dict[Status, str] = {
    "reversed": "(reversed_at IS NOT NULL OR kind IN ('reversal', 'return'))",
    "redeemed": "kind = 'redemption' AND reversed_at IS NULL",
    "rejected": f"{LIVE} AND review = 'rejected'",
    "in_review": f"{LIVE} AND review = 'asked'",
    "pending": f"{COUNTED} AND available_at > {{now}}",
    "available": f"{COUNTED} AND available_at <= {{now}}",
}


def condition(status: Status, *, now: str) -> str:
    """Return the condition for a status. now: the placeholder of the present time."""
    return _STATUSES[status].format(now=now)
