"""Events reach the webhook endpoint: all of them, signed, in order for each user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from standardwebhooks import Webhook

from endpoint_server import OTHER_SECRET, SECRET, EndpointServer, endpoint_server
from referral.core.phone import mask
from referral.service import housekeeping
from referral.storage import database
from referral.webhooks import dispatcher, operations, retry
from support import Service, context_of, eventually, new_phone, ok, refused, running


@pytest.fixture
async def service(database_url: str, endpoint: EndpointServer) -> AsyncIterator[Service]:
    """A service with a webhook endpoint."""
    async with running(database_url, **endpoint.settings) as started:
        yield started


async def test_each_type_has_its_documented_data(
    service: Service, endpoint: EndpointServer
) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    invitee = await service.sign_in(invite_code=code)
    old_phone, moved = invitee.phone, new_phone()
    await endpoint.wait_acknowledged(3)
    proof = ok(await invitee.call("POST", "/profile/phone/send-code", json={"phone": moved}))
    body = {name: proof[name] for name in ("token", "code")}
    ok(await invitee.call("PUT", "/profile/phone", json=body))
    admin = await service.api_key()
    ok(await admin.call("DELETE", f"/users/{invitee.id()}/inviter"))
    await endpoint.wait_acknowledged(5)
    profile = await invitee.profile()
    ok(await invitee.call("DELETE", "/profile"))
    await endpoint.wait_acknowledged(7)
    about = {
        "user_id": invitee.id(),
        "inviter_id": inviter.id(),
        "inviter_phone": inviter.phone,
        "invite_code": code,
    }
    received = [
        (each.type, each.event["data"])
        for each in endpoint.acknowledged
        if each.user_id == invitee.id()
    ]
    assert received == [
        (
            "user.created",
            {
                "user_id": invitee.id(),
                "phone": old_phone,
                "invite_code": profile["invite_code"],
                "created_at": profile["created_at"],
            },
        ),
        ("invite.activated", about | {"phone": old_phone, "inviter_invitee_count": 1}),
        ("user.phone_changed", {"user_id": invitee.id(), "phone": moved}),
        ("invite.voided", about | {"phone": moved, "inviter_invitee_count": 0}),
        (
            "session.ended",
            {
                "user_id": invitee.id(),
                "sid": invitee.session_id(),
                "client_id": "http://127.0.0.1:8000",
                "reason": "deleted",
            },
        ),
        ("user.deleted", {"user_id": invitee.id()}),
    ]
    for each in endpoint.acknowledged:
        assert each.event.keys() == {"type", "timestamp", "data"}
        assert each.event["timestamp"].endswith("Z")
        at = datetime.fromisoformat(each.event["timestamp"])
        assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)  # noqa: TID251 - a real time


async def test_a_message_the_cost_guard_refuses_is_reported_once(
    database_url: str, endpoint: EndpointServer
) -> None:
    settings: dict[str, Any] = {
        "REFERRAL_COST_GUARD": "block",
        "REFERRAL_TRUSTED_PROXIES": "1",
        **endpoint.settings,
    }
    async with running(database_url, **settings) as service:
        phones = [f"+7{900 + sequence}0000001" for sequence in range(99)]
        for phone in phones:
            response = await service.http.post(
                "/api/v1/auth/send-code",
                json={"phone": phone},
                headers={"X-Forwarded-For": "192.0.2.77"},
            )
            if response.status_code == 429:
                break
        (request,) = await endpoint.wait_acknowledged(1)
        assert request.type == "message.blocked"
        assert request.event["data"] == {
            "reason": "cost-guard-address",
            "country": "RU",
            "phone": mask(phone),
        }
        refused(
            await service.http.post(
                "/api/v1/auth/send-code",
                json={"phone": phone},
                headers={"X-Forwarded-For": "192.0.2.77"},
            ),
            429,
            "too_many_requests",
        )
        await asyncio.sleep(0.5)
    assert len(endpoint.attempts) == 1


async def test_the_reference_library_verifies_a_request(
    service: Service, endpoint: EndpointServer
) -> None:
    await service.sign_in()
    (request,) = await endpoint.wait_acknowledged(1)
    assert Webhook(SECRET).verify(request.body, request.headers) == request.event
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(request.body.replace("created", "deleted"), request.headers)


async def test_every_secret_signs_while_they_rotate(
    database_url: str, endpoint: EndpointServer
) -> None:
    both = f"{SECRET},{OTHER_SECRET}"
    async with running(
        database_url, **endpoint.settings | {"REFERRAL_WEBHOOK_SECRET": both}
    ) as one:
        await one.sign_in()
        (request,) = await endpoint.wait_acknowledged(1)
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(request.body, request.headers)


async def test_a_refused_or_repeated_activation_has_no_event(
    service: Service, endpoint: EndpointServer
) -> None:
    """The transaction of a refused sign-in is rolled back together with its events."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    sent = await service.send_code(new_phone())
    refused(await service.verify(sent, invite_code="ZZZZZZ"), 404, "unknown_invite_code")
    assert await rows() == 1
    invitee = await service.sign_in(invite_code=code)
    ok(await invitee.activate(code))
    refused(await inviter.activate(code), 409, "own_invite_code")
    await endpoint.wait_acknowledged(3)
    assert await rows() == 3


async def test_nothing_is_written_without_an_endpoint(database_url: str) -> None:
    async with running(database_url) as service:
        await service.sign_in()
        assert await rows() == 0
        assert await lease_count() == 0


async def test_each_activation_has_a_count_of_its_own(
    service: Service, endpoint: EndpointServer
) -> None:
    """Concurrent activations have different counts, so that exactly one of them has a 3."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    people = await asyncio.gather(*(service.sign_in() for _ in range(12)))
    for response in await asyncio.gather(*(person.activate(code) for person in people)):
        ok(response)
    await endpoint.wait_acknowledged(25)
    counts = [
        each.event["data"]["inviter_invitee_count"]
        for each in endpoint.acknowledged
        if each.type == "invite.activated"
    ]
    assert sorted(counts) == list(range(1, 13))


async def test_a_retry_has_the_same_id_and_a_fresh_timestamp(
    service: Service, endpoint: EndpointServer
) -> None:
    endpoint.respond = lambda _: 500
    await service.sign_in()
    for number, wait in enumerate((5, 30, 120, 600), start=1):
        await endpoint.wait_attempts(number)
        await settled(endpoint)
        service.clock.move(seconds=wait - 2)
        await asyncio.sleep(1.4)
        assert len(endpoint.attempts) == number, "attempted too early"
        service.clock.move(seconds=2)
    endpoint.respond = lambda _: 200
    await endpoint.wait_acknowledged(1)
    assert len({each.id for each in endpoint.attempts}) == 1
    times = [each.timestamp for each in endpoint.attempts]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(wait <= gap <= wait + 10 for gap, wait in zip(gaps, (5, 30, 120, 600), strict=False))
    assert all(each.is_signed_by(SECRET) for each in endpoint.attempts)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_only_a_2xx_acknowledges(
    database_url: str, endpoint: EndpointServer, status: int
) -> None:
    """Redirects are not followed."""
    async with (
        endpoint_server() as elsewhere,
        running(database_url, **endpoint.settings) as service,
    ):
        endpoint.headers = f"Location: {elsewhere.url}\r\n"
        endpoint.respond = lambda _: status
        await service.sign_in()
        await endpoint.wait_attempts(1)
        await eventually_status(service, error=f"status {status}")
        assert (await operations.status(context_of(service))).waiting == 1
        assert elsewhere.attempts == []


async def test_a_late_response_does_not_acknowledge(
    service: Service, endpoint: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retry.TIMEOUT_SECONDS == 10
    monkeypatch.setattr(retry, "TIMEOUT_SECONDS", 0.3)
    endpoint.delay = 1.5
    await service.sign_in()
    await eventually_status(service, error="TimeoutError")
    endpoint.delay = 0
    service.clock.move(seconds=6)
    await endpoint.wait_acknowledged(2)
    assert len({each.id for each in endpoint.attempts}) == 1


async def test_a_failing_event_holds_up_only_its_own_user(
    service: Service, endpoint: EndpointServer
) -> None:
    first = await service.sign_in()
    await endpoint.wait_acknowledged(1)
    stuck = await service.sign_in()
    await endpoint.wait_acknowledged(2)
    code = await first.invite_code()
    endpoint.respond = lambda request: 400 if request.type == "invite.activated" else 200
    ok(await stuck.activate(code))
    await eventually_status(service, error="status 400")
    ok(await stuck.call("DELETE", "/profile"))
    others = await asyncio.gather(*(service.sign_in() for _ in range(30)))
    await endpoint.wait_acknowledged(32)
    assert {person.id() for person in others} <= {each.user_id for each in endpoint.acknowledged}
    assert [each.type for each in endpoint.acknowledged if each.user_id == stuck.id()] == [
        "user.created"
    ]
    endpoint.respond = lambda _: 200
    service.clock.move(seconds=6)
    await endpoint.wait_acknowledged(35)
    assert [each.type for each in endpoint.acknowledged if each.user_id == stuck.id()] == [
        "user.created",
        "invite.activated",
        "session.ended",
        "user.deleted",
    ]


async def test_events_of_a_user_stay_in_order_despite_failures(
    service: Service, endpoint: EndpointServer
) -> None:
    """Every third attempt fails."""
    endpoint.respond = lambda _: 500 if len(endpoint.attempts) % 3 == 0 else 200
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    people = await asyncio.gather(*(service.sign_in() for _ in range(8)))
    admin = await service.api_key()
    for _ in range(3):
        for person in people:
            ok(await person.activate(code))
            ok(await admin.call("DELETE", f"/users/{person.id()}/inviter"))
    for person in people:
        ok(await person.call("DELETE", "/profile"))
    total = 1 + 8 * 9
    for _ in range(200):
        if len(endpoint.acknowledged) >= total:
            break
        service.clock.move(seconds=40)
        await asyncio.sleep(0.2)
    repeated = ["invite.activated", "invite.voided"] * 3
    expected = ["user.created", *repeated, "session.ended", "user.deleted"]
    for person in people:
        assert [
            each.type for each in endpoint.acknowledged if each.user_id == person.id()
        ] == expected
    assert len(endpoint.attempts) > total


async def test_after_three_days_an_event_is_given_up(
    service: Service, endpoint: EndpointServer
) -> None:
    """So is an event that the endpoint refuses, and so are those that wait while it is down."""
    endpoint.respond = lambda _: 500
    person = await service.sign_in()
    await eventually_status(service, error="status 500")
    service.clock.move(days=2, hours=23)
    await endpoint.wait_attempts(2)
    await settled(endpoint)
    assert (await operations.status(context_of(service))).given_up == 0
    service.clock.move(hours=2)
    await endpoint.wait_attempts(3)
    await eventually_status(service, given_up=1)
    assert await rows("next_attempt_at IS NOT NULL") == 0
    await endpoint.kill()
    waiting = [await service.sign_in() for _ in range(5)]
    await eventually_status(service, error="ConnectError")
    service.clock.move(days=3, minutes=2)
    await eventually_status(service, given_up=6)
    await endpoint.start()
    endpoint.respond = lambda _: 200
    service.clock.move(minutes=2)
    later = await service.sign_in()
    await endpoint.wait_acknowledged(1)
    assert [each.user_id for each in endpoint.acknowledged] == [later.id()]
    await eventually_status(service, waiting=0)
    # An operator can still send them again
    assert await operations.replay(context_of(service), since=None, event_type=None) == 7
    await endpoint.wait_acknowledged(8)
    assert {each.user_id for each in endpoint.acknowledged} == {
        each.id() for each in (person, later, *waiting)
    }


async def test_an_endpoint_that_is_down_gets_one_probe_at_a_time(
    service: Service, endpoint: EndpointServer
) -> None:
    await endpoint.kill()
    for _ in range(30):
        await service.sign_in()
    await asyncio.sleep(4)
    status = await operations.status(context_of(service))
    assert status.waiting == 30
    assert status.failing_since is not None
    assert await attempts() <= 25
    await endpoint.start()
    service.clock.move(minutes=1)
    acknowledged = await endpoint.wait_acknowledged(30)
    assert len({each.id for each in acknowledged}) == 30
    await eventually_status(service, waiting=0)


async def test_another_process_takes_over_an_open_breaker(
    database_url: str, endpoint: EndpointServer
) -> None:
    async with running(database_url, **endpoint.settings) as service:
        await endpoint.kill()
        for _ in range(2):
            await service.sign_in()
        async with asyncio.timeout(15):
            while (await operations.status(context_of(service))).failing_since is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    await endpoint.start()
    async with running(database_url, **endpoint.settings) as service:
        service.clock.move(minutes=2)
        await endpoint.wait_acknowledged(2)
        await eventually_status(service, waiting=0)
        async with asyncio.timeout(15):
            while (await operations.status(context_of(service))).failing_since:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_all_events_arrive_minutes_after_hours_of_503(
    service: Service, endpoint: EndpointServer
) -> None:
    """A proxy in front of an endpoint that is down responds so."""
    endpoint.respond = lambda _: 503
    for _ in range(25):
        await service.sign_in()
    for _ in range(40):
        service.clock.move(minutes=10)
        await asyncio.sleep(0.15)
    assert (await operations.status(context_of(service))).failing_since is not None
    endpoint.respond = lambda _: 200
    for _ in range(5):
        service.clock.move(minutes=1)
        await asyncio.sleep(1)
    assert len({each.id for each in await endpoint.wait_acknowledged(25)}) == 25
    await eventually_status(service, waiting=0)


async def test_a_410_stops_deliveries_until_they_are_resumed(
    database_url: str, endpoint: EndpointServer
) -> None:
    """Processes started later do not deliver either."""
    async with running(database_url, **endpoint.settings) as service:
        endpoint.respond = lambda _: 410
        await service.sign_in()
        await eventually_status(
            service, is_stopped=True, waiting=1, given_up=0, next_attempt_at=None
        )
        attempted = len(endpoint.attempts)
        endpoint.respond = lambda _: 200
        await service.sign_in()
        # Longer than an event waits for its next attempt, or the breaker for its next probe
        for _ in range(4):
            service.clock.move(days=1)
            await asyncio.sleep(1.2)
        assert len(endpoint.attempts) == attempted
    async with running(database_url, **endpoint.settings) as service:
        service.clock.move(days=5)
        await service.sign_in()
        await asyncio.sleep(2)
        assert len(endpoint.attempts) == attempted
        await eventually_status(service, is_stopped=True, waiting=3, given_up=0)
        async with asyncio.timeout(15):
            await wait_for_metric(service, "referral_webhooks_stopped 1.0")
        assert await operations.resume()
        await endpoint.wait_acknowledged(3)
        await eventually_status(service, is_stopped=False, waiting=0, failing_since=None)
        assert not await operations.resume()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("600", 600), ("date", 600), ("7200", 3600), ("999999999", 3600)]
)
async def test_retry_after_is_honoured_up_to_an_hour(
    service: Service, endpoint: EndpointServer, status: int, retry_after: str, seconds: int
) -> None:
    """No event is sent before that time, because it concerns the endpoint."""
    if retry_after == "date":
        retry_after = format_datetime(service.clock() + timedelta(seconds=seconds), usegmt=True)
    endpoint.headers, endpoint.respond = f"Retry-After: {retry_after}\r\n", lambda _: status
    await service.sign_in()
    await endpoint.wait_attempts(1)
    async with asyncio.timeout(10):
        while (await operations.status(context_of(service))).failing_since is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    endpoint.respond = lambda _: 200
    await service.sign_in()
    service.clock.move(seconds=seconds - 10)
    await asyncio.sleep(1.5)
    assert len(endpoint.attempts) == 1
    service.clock.move(seconds=15)
    await endpoint.wait_acknowledged(2)
    await eventually_status(service, waiting=0, failing_since=None)


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(500, "600"), (302, "600"), (503, "soon"), (503, "-5"), (429, "0"), (503, "Mon, 99 Foo")],
)
async def test_any_other_retry_after_is_ignored(
    service: Service, endpoint: EndpointServer, status: int, retry_after: str
) -> None:
    endpoint.headers, endpoint.respond = f"Retry-After: {retry_after}\r\n", lambda _: status
    await service.sign_in()
    await endpoint.wait_attempts(1)
    endpoint.respond = lambda _: 200
    await service.sign_in()
    await endpoint.wait_acknowledged(1)
    service.clock.move(seconds=6)
    await endpoint.wait_acknowledged(2)


async def test_metrics_count_due_events_and_attempts(
    service: Service, endpoint: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_COUNT_SECONDS", 0)
    endpoint.respond = lambda _: 500
    before = await metric(service, 'referral_deliveries_total{outcome="acknowledged"}')
    for _ in range(3):
        await service.sign_in()
    await endpoint.wait_attempts(3)
    service.clock.move(seconds=3600)
    async with asyncio.timeout(10):
        while await metric(service, "referral_outbox_events") < 1:  # noqa: ASYNC110 - the dispatcher counts
            await asyncio.sleep(0.1)
    endpoint.respond = lambda _: 200
    await endpoint.wait_acknowledged(3)
    async with asyncio.timeout(10):
        while await metric(service, "referral_outbox_events"):
            service.clock.move(seconds=3600)
            await asyncio.sleep(0.1)
    after = await metric(service, 'referral_deliveries_total{outcome="acknowledged"}')
    assert after == before + 3


async def test_replay_selects_by_type_and_time_and_keeps_ids(
    service: Service, endpoint: EndpointServer
) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    await endpoint.wait_acknowledged(1)
    service.clock.move(hours=2)
    await service.sign_in(invite_code=code)
    first = [each.id for each in await endpoint.wait_acknowledged(3)]
    await eventually_status(service, waiting=0)
    ctx = context_of(service)
    assert await operations.replay(ctx, since=None, event_type="invite.activated") == 1
    assert (await endpoint.wait_acknowledged(4))[3].id == first[2]
    await eventually_status(service, waiting=0)
    hour_ago = service.clock() - timedelta(hours=1)
    assert await operations.replay(ctx, since=hour_ago, event_type=None) == 2
    assert [each.id for each in (await endpoint.wait_acknowledged(6))[4:]] == first[1:]
    assert await operations.replay(ctx, since=service.clock(), event_type=None) == 0


async def test_finished_events_are_kept_for_30_days(
    service: Service, endpoint: EndpointServer
) -> None:
    await service.sign_in()
    await endpoint.wait_acknowledged(1)
    await eventually_status(service, waiting=0)
    service.clock.move(days=29)
    await housekeeping.purge_expired(context_of(service))
    assert await rows() == 1
    service.clock.move(days=2)
    await housekeeping.purge_expired(context_of(service))
    assert await rows() == 0


async def test_phones_are_not_in_the_outbox(service: Service, endpoint: EndpointServer) -> None:
    """They are looked up when an event is sent; a user deleted by then has none."""
    await endpoint.kill()
    inviter = await service.sign_in()
    invitee = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await invitee.call("DELETE", "/profile"))
    stored = str(await database.query("SELECT * FROM outbox"))
    for person in (inviter, invitee):
        assert person.phone.removeprefix("+") not in stored
    await endpoint.start()
    service.clock.move(minutes=1)
    await endpoint.wait_acknowledged(4)
    data = {
        each.type: each.event["data"]
        for each in endpoint.acknowledged
        if each.user_id == invitee.id()
    }
    assert data["user.created"]["phone"] is None
    assert data["invite.activated"]["phone"] is None
    assert data["invite.activated"]["inviter_phone"] == inviter.phone


async def test_a_hanging_endpoint_delays_no_request(
    service: Service, endpoint: EndpointServer
) -> None:
    endpoint.delay = 5
    async with asyncio.timeout(5):
        people = [await service.sign_in() for _ in range(30)]
        for person in people:
            await person.profile()
    assert endpoint.max_concurrent <= 20
    await endpoint.kill()


def test_waits_grow_and_end_after_three_days() -> None:
    now = first = datetime(2026, 1, 1, tzinfo=UTC)
    waits = []
    for number in range(1, 100):
        due = retry.next_attempt_at(number, first=first, now=now)
        if due is None:
            break
        waits.append(due - now)
        now = due
    assert now == first + timedelta(days=3)
    assert waits[0] == timedelta(seconds=5)
    assert waits[:-1] == sorted(waits[:-1])


async def settled(endpoint: EndpointServer) -> None:
    """Wait until the outcome of the last attempt is saved."""
    await database.query("SELECT 1")
    await eventually(lambda: not sum(endpoint.in_progress.values()))
    await asyncio.sleep(0.4)


async def eventually_status(service: Service, **fields: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            found = await operations.status(context_of(service))
            if all(getattr(found, name) == value for name, value in fields.items()):
                return
            await asyncio.sleep(0.05)


async def wait_for_metric(service: Service, line: str) -> None:
    while line not in (await service.get("/metrics")).text:  # noqa: ASYNC110 - set by a task
        await asyncio.sleep(0.2)


async def rows(condition: str = "1 = 1") -> int:
    (row,) = await database.query(f"SELECT count(*) AS number FROM outbox WHERE {condition}")  # noqa: S608 - a constant of the tests
    number: int = row["number"]
    return number


async def metric(service: Service, name: str) -> float:
    lines = (await service.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def attempts() -> int:
    (row,) = await database.query("SELECT sum(attempts) AS number FROM outbox")
    return int(row["number"])


async def lease_count() -> int:
    (row,) = await database.query("SELECT count(*) AS n FROM leases WHERE name = 'webhooks'")
    number: int = row["n"]
    return number
