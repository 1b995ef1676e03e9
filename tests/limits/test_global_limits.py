"""Limits for all clients together, saved to the database by each process."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import asyncpg
import pytest
from msgspec.structs import replace

from referral.limits.global_limits import GlobalLimits
from referral.limits.policy import LimitName, Limits
from support import Service

# By the driver of the database
_OUT_OF_RANGE = (OverflowError, asyncpg.NumericValueOutOfRangeError)
LIMITS = dataclasses.replace(Limits(), failures_per_hour=5, sends_per_day=10)


async def test_a_failed_save_counts_nothing_twice(service: Service) -> None:
    """The first count is saved, the second fails: only the second is saved again."""
    now = service.clock()
    counts = GlobalLimits(LIMITS, b"k" * 32)
    counts.add(LimitName.FAILURES_HOUR, 3)
    counts.add(LimitName.SENDS_DAY, 4)
    charge = counts.charges[LimitName.SENDS_DAY]
    counts.charges[LimitName.SENDS_DAY] = replace(charge, max_tat=1 << 70)
    with pytest.raises(_OUT_OF_RANGE):
        await counts.save(now)
    counts.charges[LimitName.SENDS_DAY] = charge
    assert not counts.is_alarmed(now)
    await counts.save(now)
    assert not counts.is_alarmed(now)
    counts.add(LimitName.FAILURES_HOUR, 2)
    assert counts.is_alarmed(now)
    assert counts.wait_for_sends(now, is_exempt=True) == 0
    counts.add(LimitName.SENDS_DAY, 6)
    assert counts.wait_for_sends(now, is_exempt=True) > 0
    assert not counts.is_alarmed(now + timedelta(hours=1))
