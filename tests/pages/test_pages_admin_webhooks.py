"""The webhook pages: the events, their states and payloads, and sending one again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from endpoint_server import EndpointServer
from pages import Browser, found, notice_on, signed_in
from referral.service import admins
from referral.storage.models import Event
from support import Person, Service, context_of, new_phone, ok, running

WEBHOOKS = "/admin/webhooks"


@pytest.fixture
async def service(database_url: str, endpoint: EndpointServer) -> AsyncIterator[Service]:
    async with running(database_url, **endpoint.settings) as started:
        yield started


async def event_of(person: Person, event_type: str = "user.created") -> Event:
    return await Event.get(user_id=person.id(), type=event_type)


async def settled(event: Event) -> Event:
    """Wait until the outcome of an attempt is saved, and return the event then."""
    async with asyncio.timeout(15):
        while not (event.error or event.finished_at):
            await asyncio.sleep(0.05)
            await event.refresh_from_db()
    return event


def rows(page: str) -> list[str]:
    return re.findall(r"<li><div class=\"device\">(.*?)</li>", page, re.DOTALL)


async def test_events_by_type_and_state(
    service: Service, endpoint: EndpointServer, admin: Browser
) -> None:
    """A list shows what each is about, its state, how often it was tried, and the last failure."""
    endpoint.respond = lambda request: 500 if request.type == "invite.activated" else 200
    inviter = await service.sign_in()
    invitee = await service.sign_in(invite_code=await inviter.invite_code())
    failing = await settled(await event_of(invitee, "invite.activated"))
    (row,) = rows(await admin.see(f"{WEBHOOKS}?type=invite.activated"))
    for words in ("waiting</span>", "1 try", "the last one failed", "500", "next try"):
        assert words in row
    assert invitee.id() in row
    waiting = rows(await admin.see(f"{WEBHOOKS}?state=waiting"))
    assert len(waiting) == 1
    await Event.filter(sequence=failing.sequence).update(
        next_attempt_at=None, finished_at=service.clock()
    )
    (row,) = rows(await admin.see(f"{WEBHOOKS}?state=given_up"))
    assert "given up</span>" in row
    delivered = await admin.see(f"{WEBHOOKS}?state=delivered&type=user.created")
    assert {"1 try" in row for row in rows(delivered)} == {True}
    assert f'href="{WEBHOOKS}">Clear<' in delivered
    assert "There are no such events." in await admin.see(f"{WEBHOOKS}?type=message.blocked")
    for query in ("type=x", "state=x", "before=x", "before=-1", f"before={10**30}"):
        assert (await admin.get(f"{WEBHOOKS}?{query}")).status_code == 400


async def test_events_are_paginated(
    service: Service, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newest first, each event once."""
    monkeypatch.setattr("referral.http.pages.admin.webhooks._PAGE_SIZE", 2)
    for _ in range(4):
        await service.sign_in()
    path, seen = f"{WEBHOOKS}?type=user.created", []
    while path:
        page = await admin.see(path)
        seen += [int(each) for each in re.findall(r'<p><a href="/admin/webhooks/(\d+)"', page)]
        path = "".join(re.findall(r'rel="next" href="([^"]+)"', page))
    assert len(seen) == 5
    assert seen == sorted(set(seen), reverse=True)


async def test_payload_has_nothing_of_a_deleted_user(
    service: Service, endpoint: EndpointServer, admin: Browser
) -> None:
    person = await service.sign_in()
    event = await settled(await event_of(person))

    async def payload() -> str:
        page = await admin.see(f"{WEBHOOKS}/{event.sequence}")
        return found(r'id="payload"[^>]*><code>(.*?)</code></pre>', page)

    sent = next(each for each in endpoint.acknowledged if each.id == str(event.id))
    assert json.loads(await payload()) == sent.event
    ok(await person.call("DELETE", "/profile"))
    assert json.loads(await payload())["data"]["phone"] is None
    assert person.phone not in await payload()


async def test_sending_an_event_again(
    service: Service, endpoint: EndpointServer, admin: Browser
) -> None:
    """It has the same id, and the audit trail names who sent it; one that waits is left alone."""
    person = await service.sign_in()
    event = await settled(await event_of(person))
    attempts = len(endpoint.attempts)
    assert 'id="send"' in await admin.see(f"{WEBHOOKS}/{event.sequence}")
    endpoint.respond = lambda _: 500
    page = await admin.submit_and_see(f"{WEBHOOKS}/{event.sequence}/send")
    assert notice_on(page) == "The event is sent again, with the same id."
    assert 'id="send"' not in page
    assert (await endpoint.wait_attempts(attempts + 1))[-1].id == str(event.id)
    page = await admin.submit_and_see(f"{WEBHOOKS}/{event.sequence}/send")
    assert notice_on(page).startswith("Nothing changed")
    trail = await admin.see(f"/admin/audit?user={person.id()}")
    assert trail.count("<b>sent a webhook event again</b>") == 1
    for nothing in ("0", "999999", str(10**30)):
        assert (await admin.get(f"{WEBHOOKS}/{nothing}")).status_code == 404


async def test_without_an_endpoint_nothing_is_sent_again(
    endpoint: EndpointServer, database_url: str
) -> None:
    """It would wait for an endpoint, and be sent to it much later."""
    async with running(database_url, **endpoint.settings) as service:
        phone = new_phone()
        await admins.grant(context_of(service), phone)
        event = await settled(await event_of(await service.sign_in()))
    async with running(database_url) as service, signed_in(service, phone) as browser:
        path = f"{WEBHOOKS}/{event.sequence}"
        assert 'id="send"' not in await browser.see(path)
        headers = {"Origin": "http://127.0.0.1:8000"}
        assert (await browser.http.post(f"{path}/send", headers=headers)).status_code == 404
        assert "delivered" in await browser.see(path)


async def test_only_administrators_see_events(service: Service) -> None:
    person = await service.sign_in()
    event = await event_of(person)
    async with signed_in(service) as browser:
        assert (await browser.get(f"{WEBHOOKS}/{event.sequence}")).status_code == 403
        headers = {"Origin": "http://127.0.0.1:8000"}
        path = f"{WEBHOOKS}/{event.sequence}/send"
        assert (await browser.http.post(path, headers=headers)).status_code == 403
