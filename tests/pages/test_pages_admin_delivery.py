"""The page /admin/delivery: what became of the messages, by country and channel."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from pages import Browser, signed_in
from referral.core.channels import Channel
from referral.storage import database
from support import Service, context_of

DELIVERY = "/admin/delivery"
KZ, IN = "+77012345678", "+919876543210"


def row(page: str, country: str, channel: str) -> list[str]:
    """Return the cells of a row after the first, as text."""
    rows = [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]
        for line in page.splitlines()
        if len(cells := re.split(r"<td[^>]*>", line)) > 1
    ]
    (found,) = [cells for cells in rows if cells[0] == f"{country} {channel}"]
    return found[1:]


async def test_figures_of_the_last_24_hours(service: Service, admin: Browser) -> None:
    """A dash where nothing is ever reported; no share of nothing, and no time without a use."""
    counts, now = context_of(service).deliveries, service.clock()
    for _ in range(1200):
        counts.count_sent(KZ, Channel.TELEGRAM, now)
        counts.count_delivered(KZ, Channel.TELEGRAM, now)
    for _ in range(3):
        counts.count_sent(KZ, Channel.SMS, now)
        counts.count_sent(IN, Channel.VOICE, now)
    for seconds in (9, 15):
        counts.count_used(KZ, Channel.SMS, now, seconds=seconds)
    counts.count_used(IN, Channel.WHATSAPP, now, seconds=100)
    await counts.save()
    page = await admin.see(DELIVERY)
    assert row(page, "Kazakhstan", "Telegram") == ["1\u202f200", "1\u202f200", "0 0\u202f%", "–"]
    assert row(page, "Kazakhstan", "SMS") == ["3", "–", "2 67\u202f%", "12 s"]
    assert row(page, "India", "Phone call") == ["3", "0", "0 0\u202f%", "–"]
    assert row(page, "India", "WhatsApp") == ["0", "0", "1 –", "100 s"]
    assert "No report says whether an SMS was delivered" in page
    assert page.index('Kazakhstan</bdi> <span class="about">Telegram') < page.index("India")


async def test_periods(service: Service, admin: Browser) -> None:
    counts, now = context_of(service).deliveries, service.clock()
    for days in (0, 3, 20):
        counts.count_sent(KZ, Channel.SMS, now - timedelta(days=days))
    await counts.save()
    for query, number in (("", 1), ("?days=1", 1), ("?days=7", 2), ("?days=30", 3)):
        page = await admin.see(f"{DELIVERY}{query}")
        assert row(page, "Kazakhstan", "SMS")[0] == str(number)
        chosen = re.findall(r'days=(\d+)" aria-current="true">', page)
        assert chosen == [query.removeprefix("?days=") or "1"]
    for query in ("days=2", "days=0", "days=-1", "days=x", f"days={10**30}"):
        assert (await admin.get(f"{DELIVERY}?{query}")).status_code == 400


async def test_without_figures_it_says_what_will_appear(service: Service, admin: Browser) -> None:
    await context_of(service).deliveries.save()
    await database.query("DELETE FROM delivery_counts")
    page = await admin.see(DELIVERY)
    assert "<table" not in page
    assert "Each country and channel will have a row here" in page


@pytest.mark.parametrize(("language", "name"), [("ru", "Казахстан"), ("de", "Kasachstan")])
async def test_countries_in_the_language_of_the_page(
    service: Service, admin: Browser, language: str, name: str
) -> None:
    counts = context_of(service).deliveries
    counts.count_sent(KZ, Channel.SMS, service.clock())
    await counts.save()
    page = await admin.get(DELIVERY, **{"Accept-Language": language})
    assert f"{name}</bdi>" in page.text


async def test_only_administrators_see_it(service: Service) -> None:
    async with signed_in(service) as browser:
        assert (await browser.get(DELIVERY)).status_code == 403
