"""The pages of a person's rewards: /me, /me/rewards and after an invitation."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pages import Browser, browsing, found, signed_in
from rewards import Shop, open_shop
from support import Service, running


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


async def words(browser: Browser, shop: Shop, path: str = "/me") -> str:
    """Return the text of a page, without markup and the tests' tag."""
    page = await browser.see(path)
    main = found(r"(<main.*?</main>)", page)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", main))
    return text.replace(shop.tag, "")


async def test_a_profile_without_rewards_does_not_mention_them(service: Service) -> None:
    """If the team has no rules and the user no entries."""
    async with signed_in(service) as browser:
        page = await browser.see("/me")
        assert "rewards" not in page
        assert "Nothing has been earned yet." in await browser.see("/me/rewards")


async def test_rules_without_entries(shop: Shop) -> None:
    await shop.rule()
    async with signed_in(shop.service) as browser:
        assert "Nothing has been earned yet." in await words(browser, shop)


async def test_the_profile_says_what_was_earned_and_what_waits(shop: Shop) -> None:
    await shop.rule()
    await shop.rule("held", trigger="visit", hold_days=14, amount=5, unit="days")
    await shop.rule("checked", trigger="review", review="all", amount=7)
    inviter, invitee = await shop.invite()
    await shop.event("order-1", invitee)
    await shop.event("order-2", invitee)
    await shop.event("visit-1", invitee, type="visit")
    await shop.event("review-1", invitee, type="review")
    await shop.redeem("r-1", inviter, amount=60)
    await shop.reverse("order-2")
    async with signed_in(shop.service, inviter.phone) as browser:
        page = await words(browser, shop)
        assert "40 points to spend now" in page
        assert re.search(r"5 days on the way · 5 from \d+ \w+ 20\d\d", page)
        assert "7 points being checked by a person before it counts" in page
        assert "−100 points · taken back (a friend's purchase)" in page
        assert "−60 points · spent" in page
        assert "+7 points · a friend's review being checked" in page
        assert "+5 days · a friend's visit from " in page
        assert "+100 points · a friend's purchase taken back" in page
        assert "Show all" in page
        everything = await words(browser, shop, "/me/rewards")
    assert everything.count("a friend's purchase") == 3
    assert inviter.id() not in page


async def test_the_next_milestones_are_shown(shop: Shop) -> None:
    """One that is reached is not; one that repeats goes on."""
    inviter = await shop.service.sign_in()
    await shop.invite(inviter)  # before the rules, so that it does not count
    shop.service.clock.move(seconds=3)
    day = f"{shop.service.clock():%-d %B %Y}"
    await shop.rule("three", occurs={"at": 3}, trigger="activated")
    await shop.rule("pairs", occurs={"each": 2}, amount=10, unit="stars")
    invitees = [(await shop.invite(inviter))[1] for _ in range(2)]
    async with signed_in(shop.service, inviter.phone) as browser:
        page = await words(browser, shop)
        since = f"2 of 3 friends have joined since {day}"
        assert f"Invite 1 more friend and get 100 points {since}" in page
        assert f"{since} 100 points at 3" in page
        assert "purchase by 0 of 2 friends 10 stars at 2" in page
        for number, invitee in enumerate(invitees):
            await shop.event(f"order-{number}", invitee)
        await shop.invite(inviter)
        page = await words(browser, shop)
        assert "have joined" not in page
        assert "+100 points · 3 friends joined" in page
        assert "+10 stars · purchase by 2 friends" in page
        assert "10 stars for purchase by 2 more friends purchase by 2 of 4 friends" in page
        assert '<progress value="2" max="4" ' in await browser.see("/me")


async def test_a_milestone_that_earns_nothing_is_not_shown(shop: Shop) -> None:
    """Its cap is reached, it was rejected, or its rule has ended."""
    ended = "2026-01-01T00:00:00Z"
    await shop.rule("ended", occurs={"at": 5}, trigger="activated", **{"from": ended})
    await shop.rule("capped", occurs={"each": 1}, trigger="activated", cap_total=150)
    await shop.rule("rejected", occurs={"at": 1}, review="all")
    inviter, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    assert (await shop.call("POST", f"/rewards/{entry['id']}/reject")).status_code == 200
    await shop.reverse("order-1")
    until = shop.service.clock().isoformat().replace("+00:00", "Z")
    await shop.rule(
        "ended", occurs={"at": 5}, trigger="activated", **{"from": ended, "until": until}
    )
    async with signed_in(shop.service, inviter.phone) as browser:
        page = await words(browser, shop)
    assert " points at " not in page
    assert "+100 points · purchase by 1 friend declined" in page


async def test_rewards_are_paginated(shop: Shop) -> None:
    await shop.rule(amount=1)
    inviter, invitee = await shop.invite()
    for number in range(51):
        await shop.event(f"order-{number}", invitee)
    async with signed_in(shop.service, inviter.phone) as browser:
        page = await browser.see("/me/rewards")
        assert page.count("a friend's") == 50
        older = found(r'rel="next" href="([^"]+)"', page)
        assert (await browser.see(older)).count("a friend's") == 1


async def test_rewards_are_for_the_signed_in_user(service: Service) -> None:
    async with browsing(service) as browser:
        response = await browser.get("/me/rewards")
        assert (response.status_code, response.headers["location"]) == (303, "/?next=/me/rewards")


async def test_the_offer_is_shown_on_an_invitation(database_url: str) -> None:
    """In the page's language, escaped; not on a sign-in without an invitation."""
    offers: dict[str, Any] = {
        "REFERRAL_OFFER": "100 points & <b>more</b>",
        "REFERRAL_OFFER_RU": "100 баллов",
    }
    async with running(database_url, **offers) as service, browsing(service) as browser:
        invite_code = await (await service.sign_in()).invite_code()
        page = (await browser.get(f"/i/{invite_code}")).text
        offer = '<p class="offer gift"><bdi>100 points &amp; &lt;b&gt;more&lt;/b&gt;</bdi></p>'
        assert offer in page
        page = (await browser.get(f"/i/{invite_code}", **{"Accept-Language": "ru"})).text
        assert '<p class="offer gift"><bdi>100 баллов</bdi></p>' in page
        assert 'offer"' not in await browser.see("/")
        assert 'offer"' not in (await browser.get("/i/ZZZZZZ")).text
        where = await browser.submit("/", phone=browser.phone, invite_code=invite_code)
        assert offer.replace(" gift", "") in (await browser.get(where)).text
        await browser.enter_code(await browser.see(where), "/code")
        assert 'class="offer' not in (await browser.get(f"/i/{invite_code}")).text
    async with running(database_url, **offers) as service, signed_in(service) as browser:
        assert offer in (await browser.get(f"/i/{invite_code}")).text


async def test_the_first_sign_in_says_what_it_earned(shop: Shop) -> None:
    """What is on hold too. Later sign-ins, and people without an invitation, read nothing."""
    await shop.rule("joined", trigger="activated", beneficiary="invitee")
    await shop.rule("held", trigger="activated", beneficiary="invitee", hold_days=14, amount=1200)
    await shop.rule("stars", trigger="activated", beneficiary="invitee", unit="stars")
    invite_code = await (await shop.service.sign_in()).invite_code()
    async with browsing(shop.service) as browser:
        assert await browser.sign_in(invite_code=invite_code) == "/me"
        page = await words(browser, shop)
        joined = "You joined Referral by a friend's invitation."
        assert f"{joined} You have 100 points to spend now. You have 100 stars to spend" in page
        assert "You have 1 200 points on the way." in page
        assert "you accepted an invitation" in page
        assert joined not in await words(browser, shop)
        phone = browser.phone
    async with signed_in(shop.service, phone) as browser:
        assert joined not in await words(browser, shop)
