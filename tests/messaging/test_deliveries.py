"""Delivery figures: what is counted and kept, by several processes, and for how long."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processes import ROOT, environment
from referral.core.channels import Channel
from referral.messaging import deliveries, delivery_counts
from referral.messaging.deliveries import Deliveries, Figures, LeadingChannel
from referral.service import housekeeping
from referral.storage import database
from support import Service, context_of, running

KZ, IN, DE = "+77012345678", "+919876543210", "+4915112345678"
# Half an hour after a full hour
AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SMS, TELEGRAM, WHATSAPP = Channel.SMS, Channel.TELEGRAM, Channel.WHATSAPP


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """At a fixed time: at the real one, housekeeping would delete what was counted then."""
    async with running(database_url, AT) as started:
        yield started


def sent(counts: Deliveries, number: int, phone: str, channel: Channel, at: datetime = AT) -> None:
    for _ in range(number):
        counts.count_sent(phone, channel, at)


async def keys() -> list[str]:
    rows = await database.query("SELECT key FROM delivery_counts ORDER BY key")
    return [row["key"] for row in rows]


async def test_figures_by_country_and_channel(service: Service) -> None:  # noqa: ARG001 - its database
    """Most sent first, from the hours asked for, the present one included."""
    counts = Deliveries()
    sent(counts, 3, KZ, SMS)
    sent(counts, 2, KZ, TELEGRAM)
    sent(counts, 5, IN, WHATSAPP)
    counts.count_delivered(KZ, TELEGRAM, AT)
    counts.count_used(KZ, TELEGRAM, AT, seconds=10)
    counts.count_used(KZ, TELEGRAM, AT, seconds=15.5)
    await counts.save()
    sent(counts, 1, KZ, SMS, AT - timedelta(minutes=31))
    await counts.save()
    assert await deliveries.recent(AT, hours=1) == [
        Figures("IN", WHATSAPP, 5, 0, 0, 0.0),
        Figures("KZ", SMS, 3, 0, 0, 0.0),
        Figures("KZ", TELEGRAM, 2, 1, 2, 25.5),
    ]
    (_, sms, telegram) = await deliveries.recent(AT, hours=2)
    assert (sms.sent, sms.used_percent, sms.seconds_until_used) == (4, 0, None)
    assert (telegram.used_percent, telegram.seconds_until_used) == (100, 13)
    assert await deliveries.recent(AT + timedelta(hours=1), hours=1) == []


async def test_no_row_says_whose_message_it_was(service: Service) -> None:  # noqa: ARG001 - its database
    counts = Deliveries()
    hour = int(AT.timestamp()) // 3600
    for phone in (KZ, "+77012345679"):
        counts.count_sent(phone, TELEGRAM, AT)
        counts.count_used(phone, TELEGRAM, AT, seconds=1)
    await counts.save()
    (row,) = await database.query("SELECT * FROM delivery_counts")
    key = f"KZ:telegram:{hour}"
    assert row == {"key": key, "hour": hour, "sent": 2, "delivered": 0, "used": 2, "seconds": 2.0}


def test_a_used_share_of_messages_sent_before() -> None:
    """Codes may be used in an hour in which fewer were sent, or none."""
    assert Figures("KZ", SMS, 1, 0, 2, 10.0).used_percent == 100
    assert Figures("KZ", SMS, 0, 0, 2, 10.0).used_percent is None


def test_the_channel_used_most_by_country() -> None:
    figures = [
        Figures("KZ", TELEGRAM, 83, 0, 0, 0.0),
        Figures("IN", WHATSAPP, 60, 0, 0, 0.0),
        Figures("IN", SMS, 40, 0, 0, 0.0),
        Figures("KZ", SMS, 17, 0, 0, 0.0),
        Figures("DE", SMS, 2, 0, 0, 0.0),
        Figures("FR", SMS, 0, 1, 0, 0.0),
    ]
    expected = [LeadingChannel("KZ", TELEGRAM, 83), LeadingChannel("IN", WHATSAPP, 60)]
    assert deliveries.leading_channels(figures, countries=2) == expected
    assert deliveries.leading_channels(figures, countries=9) == [
        *expected,
        LeadingChannel("DE", SMS, 100),
    ]
    assert deliveries.leading_channels([], countries=2) == []


async def test_a_failed_save_counts_nothing_twice(
    service: Service,  # noqa: ARG001 - its database
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was counted before, meanwhile and after it is saved by the next save, once."""
    monkeypatch.setattr(delivery_counts, "_ROWS_IN_STATEMENT", 1)
    counts = Deliveries()
    sent(counts, 2, KZ, SMS)
    counts.count_used(IN, SMS, AT, seconds=2.5)
    await database.query("ALTER TABLE delivery_counts RENAME TO gone")
    try:
        saving = asyncio.create_task(counts.save())
        await asyncio.sleep(0)
        sent(counts, 1, KZ, SMS)
        with pytest.raises(database.Unavailable):
            await saving
    finally:
        await database.query("ALTER TABLE gone RENAME TO delivery_counts")
    sent(counts, 1, KZ, SMS)
    await counts.save()
    await counts.save()
    assert await deliveries.recent(AT, hours=1) == [
        Figures("KZ", SMS, 4, 0, 0, 0.0),
        Figures("IN", SMS, 0, 0, 1, 2.5),
    ]


async def test_processes_add_up(database_url: str, tmp_path: Path) -> None:
    """Two at once, with the same countries in different orders, none of which is lost."""
    rounds = 40
    command = [str(ROOT / "tests/helpers/delivery_counter.py"), database_url, AT.isoformat()]
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, *command, str(rounds), *phones),
            cwd=tmp_path,
            env=environment(tmp_path),
            stderr=asyncio.subprocess.PIPE,
        )
        for phones in ((KZ, IN, DE), (DE, IN, KZ))
    ]
    async with asyncio.timeout(60):
        for process in processes:
            _, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
    async with running(database_url, AT):
        found = {each.country: each for each in await deliveries.recent(AT, hours=1)}
        for country in ("KZ", "IN", "DE"):
            expected = Figures(country, SMS, 2 * rounds, 2 * rounds, 2 * rounds, float(rounds))
            assert found[country] == expected


async def test_housekeeping_saves_figures_when_it_ends(database_url: str) -> None:
    async with running(database_url) as service:
        context_of(service).deliveries.count_sent(KZ, TELEGRAM, service.clock())
    async with running(database_url) as service:
        found = await deliveries.recent(service.clock(), hours=2)
        assert Figures("KZ", TELEGRAM, 1, 0, 0, 0.0) in found


async def test_figures_are_kept_for_30_days(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older ones are deleted in batches, by the housekeeping of a process."""
    monkeypatch.setattr(housekeeping, "_BATCH_SIZE", 2)
    counts = Deliveries()
    for age in (0, 29, 30, 31, 32, 400):
        counts.count_sent(KZ, SMS, AT - timedelta(days=age))
    async with running(database_url, AT), asyncio.timeout(15):
        await counts.save()
    async with running(database_url, AT), asyncio.timeout(15):
        while len(kept := await keys()) > 3:  # noqa: ASYNC110 - by housekeeping
            await asyncio.sleep(0.05)
    hour = int(AT.timestamp()) // 3600
    assert kept == [f"KZ:sms:{hour - 24 * age}" for age in (30, 29, 0)]


async def test_metrics_by_channel_country_and_state(service: Service) -> None:
    """A series of used messages begins with 0 at the first send; the time has no country."""
    phone, counts = "+99365123456", Deliveries()

    async def values() -> dict[str, float]:
        text = (await service.get("/metrics")).text
        found = re.findall(
            r'referral_code_messages_total\{channel="voice",country="TM",state="(\w+)"\} (\S+)',
            text,
        )
        times = re.findall(r'referral_code_seconds_(count|sum)\{channel="voice"\} (\S+)', text)
        return {name: float(number) for name, number in [*found, *times]}

    before = Counter(await values())
    counts.count_sent(phone, Channel.VOICE, AT)
    found = await values()
    assert (found["sent"], found["used"]) == (before["sent"] + 1, before["used"])
    counts.count_delivered(phone, Channel.VOICE, AT)
    counts.count_used(phone, Channel.VOICE, AT, seconds=12.5)
    found = await values()
    for name, number in {"sent": 1, "delivered": 1, "used": 1, "count": 1, "sum": 12.5}.items():
        assert found[name] == before[name] + number
