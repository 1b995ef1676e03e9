"""Flags of activations, each at its exact threshold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from accounts import moved
from guarding import phone_of_new_range
from guessing import enter, limited, post, proxied, send
from locks import on_postgres, other_connection, wait_for_blocked
from pages import browsing
from processes import done, referral
from referral.service import housekeeping
from referral.storage import database, dialect
from relying_party import register
from rewards import open_shop
from support import Person, Service, context_of, new_address, ok

SECOND = timedelta(seconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD = "the old secret of the tests with 32 bytes or more 012345"
NEW = "the new secret of the tests with 32 bytes or more 678901"

_blocks = count(1)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """Run the service behind a proxy, so that each person has an address."""
    async with proxied(database_url) as started:
        yield started


async def join(
    service: Service,
    inviter: Person | None = None,
    *,
    phone: str | None = None,
    address: str | None = None,
    **more: str,
) -> Person:
    """Sign a person in, by default from a new address and with a phone of a block of its own."""
    phone, address = phone or phone_of_new_range(), address or new_address()
    sent = ok(await send(service, phone, address, **more))
    code = {"invite_code": inviter.tokens["profile"]["invite_code"]} if inviter else {}
    response = await enter(service, sent, address, **code)
    return Person(service.http, phone, ok(response), is_new=response.status_code == 201)


async def join_many(service: Service, inviter: Person, number: int) -> list[Person]:
    return [await join(service, inviter) for _ in range(number)]


async def activate(person: Person, inviter: Person, address: str | None = None) -> None:
    """Activate the inviter's code after the sign-up."""
    code = inviter.tokens["profile"]["invite_code"]
    headers = {"X-Forwarded-For": address or new_address()}
    ok(await person.call("PUT", "/profile/inviter", json={"invite_code": code}, headers=headers))


async def flags_of(*people: Person) -> list[str]:
    """Return the flags of each person's present activation."""
    sql = "SELECT flags FROM activations WHERE user_id = $1 AND voided_at IS NULL"
    found = [await database.query(sql, UUID(person.id())) for person in people]
    return [row["flags"] for (row,) in found]


async def activated_at(person: Person) -> datetime:
    sql = "SELECT activated_at FROM users WHERE id = $1"
    (row,) = dialect.decode_rows(await database.query(sql, UUID(person.id())))
    at: datetime = row["activated_at"]
    return at


def phones_of_block(number: int, block: str | None = None) -> list[str]:
    block = block or f"+7901{next(_blocks):03}"
    return [f"{block}{each:04}" for each in range(number)]


async def void(service: Service, person: Person) -> None:
    ok(await (await service.api_key()).call("DELETE", f"/users/{person.id()}/inviter"))


# Nobody suspicious


async def test_a_stranger_from_elsewhere_has_no_flags(service: Service) -> None:
    inviter = await join(service)
    signed_up = await join(service, inviter)
    later = await join(service)
    await activate(later, inviter)
    assert await flags_of(signed_up, later) == ["", ""]


# same_address


async def test_the_inviters_address_is_flagged(service: Service) -> None:
    """After a sign-up and a later sign-in there, for a sign-up and a later activation."""
    home, office = new_address(), new_address()
    inviter = await join(service, address=home)
    await join(service, phone=inviter.phone, address=office)
    people = [await join(service, inviter, address=each) for each in (home, office, new_address())]
    people += [await join(service) for _ in range(3)]
    for person, address in zip(people[3:], (home, office, new_address()), strict=True):
        await activate(person, inviter, address)
    expected = ["same_address", "same_address", ""]
    # Six in an hour are a burst too
    assert await flags_of(*people) == [f"burst {each}".strip() for each in expected * 2]


@pytest.mark.parametrize("late", [False, True])
async def test_the_address_of_a_refresh_is_flagged(service: Service, late: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """late: by a repeat after the grace period. The address before it counts no more."""
    home, office = new_address(), new_address()
    inviter = await join(service, address=home)
    token = inviter.tokens["refresh_token"]
    ok(await post(service, "/auth/refresh", home if late else office, refresh_token=token))
    if late:
        service.clock.move(seconds=31)
        ok(await post(service, "/auth/refresh", office, refresh_token=token))
    people = [await join(service, inviter, address=each) for each in (office, home)]
    assert await flags_of(*people) == ["same_address", ""]


async def test_an_address_counts_for_less_than_a_day(service: Service) -> None:
    home = new_address()
    inviter = await join(service, address=home)
    at = service.clock()
    service.clock.set(at + DAY - 5 * SECOND)
    assert await flags_of(await join(service, inviter, address=home)) == ["same_address"]
    service.clock.set(at + DAY)
    assert await flags_of(await join(service, inviter, address=home)) == [""]


async def test_an_ipv6_address_counts_as_its_64(service: Service) -> None:
    inviter = await join(service, address="2001:db8:1:2:aaaa::1")
    addresses = ["2001:db8:1:2:bbbb::2", "2001:DB8:1:2::", "2001:db8:1:3:aaaa::1"]
    people = [await join(service, inviter, address=each) for each in addresses]
    assert await flags_of(*people) == ["same_address", "same_address", ""]


async def test_addresses_of_others_are_not_flagged(service: Service) -> None:
    """That of the invitee's earlier sign-in, and of the inviter's ended session."""
    home, office = new_address(), new_address()
    inviter, person = await join(service, address=home), await join(service, address=office)
    ok(await inviter.call("DELETE", "/sessions"))
    assert await flags_of(await join(service, inviter, address=home)) == [""]
    await activate(person, inviter, office)
    assert await flags_of(person) == [""]


async def test_a_digest_is_cleared_after_a_day(service: Service) -> None:
    """The session stays. A later use has a new digest."""
    person, other = await join(service), await join(service)
    at = service.clock()
    assert len(set(await digests())) == 2
    service.clock.set(at + DAY - 5 * SECOND)
    await housekeeping.purge_expired(context_of(service))
    assert None not in await digests()
    ok(await person.refresh())
    service.clock.set(at + DAY)
    await housekeeping.purge_expired(context_of(service))
    assert sorted(each is None for each in await digests()) == [False, True]
    ok(await other.refresh())
    assert None not in await digests()


async def test_digests_reveal_no_address(service: Service) -> None:
    """They are keyed, of 22 characters, and in no response."""
    address = new_address()
    person = await join(service, address=address)
    (digest,) = await digests()
    assert digest is not None
    assert len(digest) == 22
    assert address not in digest
    for path in ("/sessions", "/profile"):
        assert digest not in (await person.call("GET", path)).text


async def test_only_public_apps_leave_an_address(service: Service) -> None:
    """A confidential app calls from its server, whose address is not the person's."""
    for is_public in (False, True):
        app = await register(service, is_public=is_public)
        async with browsing(service, phone_of_new_range()) as browser:
            browser.http.headers["X-Forwarded-For"] = new_address()
            tokens = await app.tokens(browser, scope="openid offline_access")
        assert [each is not None for each in await digests(app.client_id)] == [is_public]
        assert (await app.refresh(tokens["refresh_token"])).status_code == 200
        assert [each is not None for each in await digests(app.client_id)] == [is_public]


async def test_digests_survive_a_rotation(database_url: str) -> None:
    home = new_address()
    async with proxied(database_url, REFERRAL_SECRET=OLD) as service:
        inviter = await join(service, address=home)
    async with proxied(database_url, REFERRAL_SECRET=f"{NEW},{OLD}"):
        pass
    async with proxied(database_url, REFERRAL_SECRET=NEW) as service:
        device = inviter.tokens["device_token"]
        person = await join(service, inviter, address=home, device_token=device)
        assert await flags_of(person) == ["same_address same_device"]


async def digests(client_id: str = "") -> list[str | None]:
    """Return the digests of the addresses of sessions, by default those without a client."""
    sql = "SELECT address_digest FROM sessions WHERE COALESCE(client_id, '') = $1"
    return [row["address_digest"] for row in await database.query(sql, client_id)]


# same_device


async def test_a_device_of_the_inviter_is_flagged(service: Service) -> None:
    """Of their newest and of an earlier sign-in."""
    inviter = await join(service)
    again = await join(service, phone=inviter.phone)
    tokens = [each.tokens["device_token"] for each in (inviter, again)]
    people = [await join(service, inviter, device_token=each) for each in tokens]
    assert await flags_of(*people) == ["same_device"] * 2


async def test_devices_of_others_are_not_flagged(service: Service) -> None:
    """The invitee's own, a third person's, and a text that is no token."""
    inviter, other, person = [await join(service) for _ in range(3)]
    own, third = person.tokens["device_token"], other.tokens["device_token"]
    people = [await join(service, inviter, phone=person.phone, device_token=own)]
    people += [await join(service, inviter, device_token=each) for each in (third, "x")]
    assert await flags_of(*people) == [""] * 3


@pytest.mark.parametrize("when", ["before the send", "after the send"])
async def test_a_revoked_device_is_not_flagged(service: Service, when: str) -> None:
    inviter, phone, address = await join(service), phone_of_new_range(), new_address()
    if when == "before the send":
        ok(await inviter.call("DELETE", "/sessions"))
    device = inviter.tokens["device_token"]
    sent = ok(await send(service, phone, address, device_token=device))
    if when == "after the send":
        ok(await inviter.call("DELETE", "/sessions"))
    code = inviter.tokens["profile"]["invite_code"]
    body = ok(await enter(service, sent, address, invite_code=code))
    assert await flags_of(Person(service.http, phone, body, is_new=True)) == [""]


async def test_a_device_of_an_earlier_phone_is_not_flagged(service: Service) -> None:
    """A change of phone revokes device tokens."""
    inviter = await join(service)
    await moved(service, inviter, phone_of_new_range())
    person = await join(service, inviter, device_token=inviter.tokens["device_token"])
    assert await flags_of(person) == [""]


async def test_an_expired_device_token_is_not_flagged(service: Service) -> None:
    inviter = await join(service)
    service.clock.move(days=180)
    person = await join(service, inviter, device_token=inviter.tokens["device_token"])
    assert await flags_of(person) == [""]


async def test_a_shared_browser_is_flagged(service: Service) -> None:
    """The inviter signs out, and the invitee signs up on the pages; from different addresses."""
    inviter = await join(service)
    code, phone = inviter.tokens["profile"]["invite_code"], phone_of_new_range()
    async with browsing(service, inviter.phone) as browser:
        browser.http.headers["X-Forwarded-For"] = new_address()
        assert await browser.sign_in() == "/me"
        await browser.submit("/sign-out")
        browser.http.headers["X-Forwarded-For"] = new_address()
        browser.phone = phone
        await browser.sign_in(invite_code=code)
        browser.http.headers["X-Forwarded-For"] = new_address()
    person = await join(service, phone=phone)
    assert await flags_of(person) == ["same_device"]


async def test_a_token_of_another_phone_makes_no_known_device(database_url: str) -> None:
    """The phone has the budget of strangers."""
    async with proxied(database_url, REFERRAL_SENDS_PER_PHONE_HOUR="1") as service:
        person, phone = await join(service), phone_of_new_range()
        device = person.tokens["device_token"]
        ok(await send(service, phone, device_token=device))
        for more in ({}, {"device_token": device}):
            limited(await send(service, phone, **more))
        ok(await send(service, person.phone, device_token=device))


# burst


async def test_six_in_less_than_an_hour_are_a_burst(service: Service) -> None:
    inviter = await join(service)
    people = await join_many(service, inviter, 5)
    assert await flags_of(*people) == [""] * 5
    service.clock.set(await activated_at(people[0]) + HOUR - SECOND)
    people.append(await join(service, inviter))
    assert await flags_of(*people) == ["burst"] * 6


async def test_six_in_an_hour_are_no_burst(service: Service) -> None:
    """The seventh makes one, without the first."""
    inviter = await join(service)
    people = [await join(service, inviter)]
    service.clock.move(minutes=1)
    people += await join_many(service, inviter, 4)
    service.clock.set(await activated_at(people[0]) + HOUR)
    people.append(await join(service, inviter))
    assert await flags_of(*people) == [""] * 6
    service.clock.set(await activated_at(people[1]) + HOUR - SECOND)
    people.append(await join(service, inviter))
    assert await flags_of(*people) == ["", *["burst"] * 6]


async def test_a_burst_goes_on_and_ends(service: Service) -> None:
    inviter = await join(service)
    people = await join_many(service, inviter, 9)
    service.clock.move(hours=1)
    people += [await join(service, inviter)]
    assert await flags_of(*people) == [*["burst"] * 9, ""]


async def test_invitees_of_different_inviters_are_no_burst(service: Service) -> None:
    for inviter in [await join(service), await join(service)]:
        people = await join_many(service, inviter, 5)
        assert await flags_of(*people) == [""] * 5


async def test_a_voided_activation_is_in_no_burst(service: Service) -> None:
    """Nor is the same person counted twice."""
    inviter = await join(service)
    people = await join_many(service, inviter, 5)
    await void(service, people[0])
    await activate(people[0], inviter)
    await void(service, people[1])
    last = await join(service, inviter)
    assert await flags_of(people[0], *people[2:], last) == [""] * 5


async def test_imported_invitees_are_no_burst(
    service: Service, on: dict[str, str], tmp_path: Path
) -> None:
    """They count at the time of their sign-up."""
    inviter = await join(service)
    code = inviter.tokens["profile"]["invite_code"]
    rows = [f"{phone_of_new_range()},{code},2025-01-01T12:00:00Z" for _ in range(6)]
    (tmp_path / "users.csv").write_text("\n".join(["phone,inviter_code,created_at", *rows]))
    done(referral(tmp_path, "users", "import", "users.csv", **on))
    assert await flags_of(await join(service, inviter)) == [""]


# neighbours


async def test_three_of_a_block_are_neighbours(service: Service) -> None:
    """Whether they activated at the sign-up or later. Further ones are flagged too."""
    inviter, (first, *phones, last) = await join(service), phones_of_block(4)
    people = [await join(service, phone=first)]
    await activate(people[0], inviter)
    people.append(await join(service, inviter, phone=phones[0]))
    assert await flags_of(*people) == [""] * 2
    people.append(await join(service, inviter, phone=phones[1]))
    assert await flags_of(*people) == ["neighbours"] * 3
    assert await flags_of(await join(service, inviter, phone=last)) == ["neighbours"]


@pytest.mark.parametrize(
    ("ago", "expected"), [(30 * DAY - SECOND, "neighbours"), (30 * DAY, "")], ids=["in", "after"]
)
async def test_neighbours_are_within_30_days(
    service: Service, ago: timedelta, expected: str
) -> None:
    inviter, phones = await join(service), phones_of_block(3)
    people = [await join(service, inviter, phone=phones[0])]
    people.append(await join(service, inviter, phone=phones[1]))
    service.clock.set(await activated_at(people[0]) + ago)
    people.append(await join(service, inviter, phone=phones[2]))
    assert await flags_of(*people) == [expected] * 3


async def test_other_numbers_are_no_neighbours(service: Service) -> None:
    """Of the next block, of another length, of another inviter, of nobody's invitee."""
    inviter, other = await join(service), await join(service)
    phones = ["+491738751234", "+491738751235", "+491738761236", "+4917387512345"]
    people = [await join(service, inviter, phone=each) for each in phones]
    people.append(await join(service, other, phone="+491738751236"))
    await join(service, phone="+491738751237")
    assert await flags_of(*people) == [""] * 5


async def test_those_who_left_are_no_neighbours(service: Service) -> None:
    """Deleted, voided, or with another phone by now."""
    inviter, phones = await join(service), phones_of_block(5)
    people = [await join(service, inviter, phone=each) for each in phones[:3]]
    assert await flags_of(*people) == ["neighbours"] * 3
    ok(await people[0].call("DELETE", "/profile"))
    await void(service, people[1])
    await moved(service, people[2], phone_of_new_range())
    assert await flags_of(await join(service, inviter, phone=phones[3])) == [""]


# Several at once


@pytest.mark.usefixtures("no_deadlocks")
async def test_all_of_a_parallel_burst_are_flagged(service: Service) -> None:
    """12 at once, whatever order they commit in; no transaction waits for another in a circle."""
    for _ in range(5):
        inviter = await join(service)
        people = await asyncio.gather(*(join(service, inviter) for _ in range(12)))
        assert await flags_of(*people) == ["burst"] * 12


@pytest.mark.usefixtures("no_deadlocks")
async def test_all_of_a_parallel_block_are_flagged(service: Service) -> None:
    for _ in range(5):
        inviter, phones = await join(service), phones_of_block(12)
        people = await asyncio.gather(*(join(service, inviter, phone=each) for each in phones))
        assert await flags_of(*people) == ["burst neighbours"] * 12


@pytest.mark.usefixtures("no_deadlocks")
async def test_voids_and_activations_do_not_deadlock(service: Service) -> None:
    for _ in range(5):
        inviter = await join(service)
        voided = await join_many(service, inviter, 5)
        waiting = [await join(service) for _ in range(6)]
        activations = [activate(each, inviter) for each in waiting]
        voids = [void(service, each) for each in voided]
        await asyncio.gather(*voids, *activations)
        assert await flags_of(*waiting) == ["burst"] * 6


@pytest.mark.usefixtures("no_deadlocks")
@on_postgres
async def test_a_void_waits_for_the_inviter_first(database_url: str, service: Service) -> None:
    """An activation that holds the inviter can so flag the one that is being voided."""
    inviter = await join(service)
    person = await join(service, inviter)
    async with other_connection(database_url) as other:
        activating = other.transaction()
        await activating.start()
        await other.execute(
            "UPDATE users SET invitee_count = invitee_count WHERE id = $1", UUID(inviter.id())
        )
        voiding = asyncio.create_task(void(service, person))
        await wait_for_blocked(other)
        await other.execute(
            "UPDATE activations SET flags = 'burst' WHERE user_id = $1", UUID(person.id())
        )
        await activating.commit()
        await voiding


@on_postgres
async def test_an_event_waits_for_the_flags_of_its_invitee(
    database_url: str, service: Service
) -> None:
    """While an activation flags the invitee, an event must not earn without a review."""
    async with open_shop(service) as shop:
        await shop.rule(review="flagged", hold_days=1)
        inviter = await join(service)
        person = await join(service, inviter)
        async with other_connection(database_url) as other:
            activating = other.transaction()
            await activating.start()
            await other.execute(
                "UPDATE users SET invitee_count = invitee_count WHERE id = $1", UUID(inviter.id())
            )
            await other.execute(
                "UPDATE activations SET flags = 'burst' WHERE user_id = $1", UUID(person.id())
            )
            posting = asyncio.create_task(shop.event("order-1", person))
            await wait_for_blocked(other)
            await activating.commit()
            (entry,) = await posting
    assert (entry["flags"], entry["status"]) == (["burst"], "in_review")
