"""Limits for all clients together, saved to the database by each process."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from tortoise.exceptions import IntegrityError

from referral.limits.global_limits import GlobalLimits
from referral.limits.policy import LimitName, Limits
from support import Service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = dataclasses.replace(Limits(), failures_per_hour=5, sends_per_day=10)


async def test_a_failed_save_counts_nothing_twice(service: Service) -> None:
    """The first count is saved, the second fails: only the second is saved again."""
    del service
    counts = GlobalLimits(LIMITS, b"k" * 32)
    counts.add(LimitName.FAILURES_HOUR, 3)
    counts.add(LimitName.SENDS_DAY, 4)
    charge = counts.charges[LimitName.SENDS_DAY]
    counts.charges[LimitName.SENDS_DAY] = replace(charge, key=None)
    with pytest.raises(IntegrityError):
        await counts.save(NOW)
    counts.charges[LimitName.SENDS_DAY] = charge
    assert not counts.is_alarmed(NOW)
    await counts.save(NOW)
    assert not counts.is_alarmed(NOW)
    counts.add(LimitName.FAILURES_HOUR, 2)
    assert counts.is_alarmed(NOW)
    assert counts.wait_for_sends(NOW, is_exempt=True) == 0
    counts.add(LimitName.SENDS_DAY, 6)
    assert counts.wait_for_sends(NOW, is_exempt=True) > 0
    assert not counts.is_alarmed(NOW + timedelta(hours=1))
