"""Whether announcements of rewards still hold: the dispatcher of webhooks asks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tortoise.expressions import Q

from referral.core.reward_status import Kind, Review
from referral.storage.models import RewardEntry


async def is_announcement_valid(announcement_id: UUID, *, now: datetime) -> bool:
    """Return whether this id announces an entry that is available now."""
    return await RewardEntry.filter(
        Q(review__isnull=True) | Q(review=Review.APPROVED),
        announcement_id=announcement_id,
        kind=Kind.EARNED,
        reversed_at__isnull=True,
        available_at__lte=now,
    ).exists()
