"""Who may do what with rewards, and what is recognised as the same person, unit or request."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from accounts import delete_account, moved
from pages import browsing
from relying_party import register
from rewards import Shop, open_shop
from support import Person, Service, ok, refused, running

OLD = "the old secret of the tests with 32 bytes or more 012345"
NEW = "the new secret of the tests with 32 bytes or more 678901"


@pytest.fixture
async def shop(service: Service) -> AsyncIterator[Shop]:
    async with open_shop(service) as shop:
        yield shop


async def test_decisions_need_a_fresh_sign_in(shop: Shop) -> None:
    """Of an administrator, also for rules; a key has none and needs none."""
    await shop.rule(review="all")
    _, invitee = await shop.invite()
    (entry,) = await shop.event("order-1", invitee)
    (rule,) = [
        each
        for each in ok(await shop.call("GET", "/reward-rules"))["items"]
        if each["name"] == "purchase"
    ]
    admin = await shop.service.sign_in_admin()
    shop.service.clock.move(minutes=15)
    admin = Person(admin.http, admin.phone, ok(await admin.refresh()), is_new=False)
    stale = Shop(shop.service, admin, tag=shop.tag)
    for decision in ("approve", "reject"):
        response = await stale.call("POST", f"/rewards/{entry['id']}/{decision}")
        refused(response, 403, "sign_in_again")
    for amount in (100, 200):
        refused(await stale.put_rule(review="all", amount=amount), 403, "sign_in_again")
    refused(await stale.call("DELETE", "/reward-rules/purchase*"), 403, "sign_in_again")
    assert rule in ok(await stale.call("GET", "/reward-rules"))["items"]
    assert ok(await shop.call("POST", f"/rewards/{entry['id']}/approve"))["status"] == "available"


async def test_an_apps_token_reads_its_users_rewards(shop: Shop) -> None:
    """With the scope `account`, and only those; nothing that is for administrators."""
    app = await register(shop.service, account_allowed=True)
    async with browsing(shop.service) as browser:
        account = await app.tokens(browser, scope="openid account")
        plain = await app.tokens(browser)
    one, other = (Person(shop.service.http, "", each, is_new=False) for each in (account, plain))
    assert ok(await one.call("GET", "/profile/rewards"))["items"] == []
    refused(await other.call("GET", "/profile/rewards"), 403, "forbidden")
    for path in ("/rewards", "/reward-rules", f"/users/{one.id()}/rewards"):
        refused(await one.call("GET", path), 403, "forbidden")
    body = {"event_id": "order-1", "type": "purchase", "user_id": one.id()}
    refused(await one.call("POST", "/events", json=body), 403, "forbidden")


async def test_repeats_are_recognised_after_a_rotation(database_url: str) -> None:
    """The digests of requests hang on data keys, which survive it."""
    async with running(database_url, REFERRAL_SECRET=OLD) as service, open_shop(service) as shop:
        await shop.rule()
        inviter, invitee = await shop.invite()
        made = await shop.event("order-1", invitee)
        ok(await shop.redeem("r-1", inviter))
        tag = shop.tag
    async with running(database_url, REFERRAL_SECRET=f"{NEW},{OLD}"):
        pass
    async with running(database_url, REFERRAL_SECRET=NEW) as service:
        shop = Shop(service, await service.api_key(), tag=tag)
        repeated = await shop.post_event("order-1", invitee)
        assert (repeated.status_code, repeated.json()["rewards"]) == (200, made)
        assert (await shop.redeem("r-1", inviter)).status_code == 200
        refused(await shop.post_event("order-1", invitee, value=1), 409, "event_conflict")
        refused(await shop.redeem("r-1", inviter, amount=1), 409, "redemption_conflict")


async def test_units_do_not_differ_only_by_case(shop: Shop) -> None:
    """Also from the unit of a deleted rule, in which people still have balances."""
    await shop.rule()
    refused(await shop.put_rule("other", unit="Points"), 400, "invalid_request")
    await shop.delete_rule()
    refused(await shop.put_rule("other", unit="POINTS"), 400, "invalid_request")
    await shop.rule("other")


@pytest.mark.parametrize("amount", [0, -1, 10**9 + 1])
async def test_amounts_have_bounds(shop: Shop, amount: int) -> None:
    refused(await shop.put_rule(amount=amount), 400, "invalid_request")
    person = await shop.service.sign_in()
    refused(await shop.redeem("r-1", person, amount=amount), 400, "invalid_request")


async def test_the_greatest_amounts_are_exact(shop: Shop) -> None:
    await shop.rule(amount=10**9, cap_total=10**15, min_value=10**15)
    inviter, invitee = await shop.invite()
    for number in range(3):
        await shop.event(f"order-{number}", invitee, value=10**15)
    assert await shop.balance(inviter) == (3 * 10**9, 0)
    ok(await shop.redeem("r-1", inviter, amount=10**9))
    assert await shop.balance(inviter) == (2 * 10**9, 0)


async def test_an_event_by_phone_is_for_its_present_user(shop: Shop) -> None:
    """Not for one who has left the phone, nor for one who is deleted."""
    await shop.rule()
    inviter, invitee = await shop.invite()
    left = invitee.phone
    (entry,) = ok(await shop.post_event("order-1", phone=left))["rewards"]
    assert (entry["user_id"], entry["about_user_id"]) == (inviter.id(), invitee.id())
    invitee = await moved(shop.service, invitee)
    refused(await shop.post_event("order-2", phone=left), 404, "not_found")
    assert (await shop.post_event("order-2", phone=invitee.phone)).status_code == 201
    await delete_account(invitee)
    refused(await shop.post_event("order-3", phone=invitee.phone), 404, "not_found")
    refused(await shop.post_event("order-3", invitee), 404, "not_found")
    assert (await shop.post_event("order-2", phone=invitee.phone)).status_code == 200
