"""Which announcements of rewards still hold: the dispatcher of webhooks asks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from tortoise.expressions import Q

from referral.core.reward_status import Kind, Review
from referral.storage.models import RewardEntry


async def available_announcements(
    announcement_ids: Collection[UUID], *, now: datetime
) -> set[UUID]:
    """Return those of these ids that announce an entry that is available now."""
    rows = RewardEntry.filter(
        Q(review__isnull=True) | Q(review=Review.APPROVED),
        announcement_id__in=list(announcement_ids),
        kind=Kind.EARNED,
        reversed_at__isnull=True,
        available_at__lte=now,
    )
    return {each.announcement_id for each in await rows if each.announcement_id is not None}
