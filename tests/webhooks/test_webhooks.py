"""Events reach the team's receiver: all of them, signed, in order for each user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from standardwebhooks import Webhook

from receivers import OTHER_SECRET, SECRET, Receiver, eventually, receiving
from referral.core.phone import mask
from referral.service import housekeeping
from referral.storage import database
from referral.webhooks import delivery, dispatcher, payloads
from referral.webhooks import retry as rules
from support import Service, context_of, new_phone, ok, refused, running


@pytest.fixture
async def team() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def service(database_url: str, team: Receiver) -> AsyncIterator[Service]:
    """With a receiver."""
    async with running(database_url, **team.settings) as started:
        yield started


async def test_each_type_says_what_the_contract_says(service: Service, team: Receiver) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    invitee = await service.sign_in(invite_code=code)
    old_phone, moved = invitee.phone, new_phone()
    await team.until(3)
    proof = ok(await invitee.call("POST", "/profile/phone/send-code", json={"phone": moved}))
    body = {name: proof[name] for name in ("token", "code")}
    ok(await invitee.call("PUT", "/profile/phone", json=body))
    admin = await service.api_key()
    ok(await admin.call("DELETE", f"/users/{invitee.id()}/inviter"))
    await team.until(5)
    profile = await invitee.profile()
    ok(await invitee.call("DELETE", "/profile"))
    await team.until(6)
    about = {
        "user_id": invitee.id(),
        "inviter_id": inviter.id(),
        "inviter_phone": inviter.phone,
        "invite_code": code,
    }
    told = [(each.type, each.event["data"]) for each in team.taken if each.user == invitee.id()]
    assert told == [
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
        ("user.deleted", {"user_id": invitee.id()}),
    ]
    for each in team.taken:
        assert each.event.keys() == {"type", "timestamp", "data"}
        assert each.event["timestamp"].endswith("Z")
        at = datetime.fromisoformat(each.event["timestamp"])
        assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)  # noqa: TID251 - a real time


async def test_a_send_that_the_cost_guard_refuses_is_told_once(
    database_url: str, team: Receiver
) -> None:
    settings: dict[str, Any] = {
        "REFERRAL_COST_GUARD": "block",
        "REFERRAL_TRUSTED_PROXIES": "1",
        **team.settings,
    }
    async with running(database_url, **settings) as service:
        phones = [f"+7{900 + sequence}0000001" for sequence in range(99)]
        for phone in phones:
            answer = await service.http.post(
                "/api/v1/auth/send-code",
                json={"phone": phone},
                headers={"X-Forwarded-For": "192.0.2.77"},
            )
            if answer.status_code == 429:
                break
        (told,) = await team.until(1)
        assert told.type == "message.blocked"
        assert told.event["data"] == {
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
    assert len(team.attempts) == 1


async def test_a_receiver_verifies_by_the_standard_library(
    service: Service, team: Receiver
) -> None:
    await service.sign_in()
    (told,) = await team.until(1)
    assert Webhook(SECRET).verify(told.body, told.headers) == told.event
    assert told.headers["content-type"] == "application/json"
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(SECRET).verify(told.body.replace("created", "deleted"), told.headers)


async def test_every_secret_signs_while_they_rotate(database_url: str, team: Receiver) -> None:
    both = f"{SECRET},{OTHER_SECRET}"
    async with running(database_url, **team.settings | {"REFERRAL_WEBHOOK_SECRET": both}) as one:
        await one.sign_in()
        (told,) = await team.until(1)
    assert len(told.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(told.body, told.headers)


async def test_what_is_not_done_is_not_told(service: Service, team: Receiver) -> None:
    """A transaction that the rules refuse leaves no event; nor does the same activation again."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    sent = await service.send_code(new_phone())
    refused(await service.verify(sent, invite_code="ZZZZZZ"), 404, "unknown_invite_code")
    assert await rows() == 1
    invitee = await service.sign_in(invite_code=code)
    ok(await invitee.activate(code))
    refused(await inviter.activate(code), 409, "own_invite_code")
    await team.until(3)
    assert await rows() == 3


async def test_nothing_is_written_without_a_receiver(database_url: str) -> None:
    async with running(database_url) as service:
        await service.sign_in()
        assert await rows() == 0
        assert await service_leases() == 0


async def test_each_activation_has_a_count_of_its_own(service: Service, team: Receiver) -> None:
    """However many at once: somebody can reward at the third."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    people = await asyncio.gather(*(service.sign_in() for _ in range(12)))
    for answer in await asyncio.gather(*(person.activate(code) for person in people)):
        ok(answer)
    await team.until(25)
    counts = [
        each.event["data"]["inviter_invitee_count"]
        for each in team.taken
        if each.type == "invite.activated"
    ]
    assert sorted(counts) == list(range(1, 13))


async def test_a_failed_event_comes_again_with_its_id_and_a_fresh_timestamp(
    service: Service, team: Receiver
) -> None:
    team.answer = lambda _: 500
    await service.sign_in()
    for number, wait in enumerate((5, 30, 120, 600), start=1):
        await team.until_tried(number)
        await settled(team)
        service.clock.move(seconds=wait - 2)
        await asyncio.sleep(1.4)
        assert len(team.attempts) == number, "too early"
        service.clock.move(seconds=2)
    team.answer = lambda _: 200
    await team.until(1)
    assert len({each.id for each in team.attempts}) == 1
    times = [each.timestamp for each in team.attempts]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(wait <= gap <= wait + 10 for gap, wait in zip(gaps, (5, 30, 120, 600), strict=False))
    assert all(each.is_signed_by(SECRET) for each in team.attempts)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_only_a_2xx_is_an_acknowledgement(
    database_url: str, team: Receiver, status: int
) -> None:
    """A redirect is not followed either."""
    async with receiving() as elsewhere, running(database_url, **team.settings) as service:
        team.headers = f"Location: {elsewhere.url}\r\n"
        team.answer = lambda _: status
        await service.sign_in()
        await team.until_tried(1)
        await eventually_status(service, error=f"status {status}")
        assert (await payloads.status(context_of(service))).waiting == 1
        assert elsewhere.attempts == []


async def test_an_answer_that_comes_too_late_is_none(
    service: Service, team: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert delivery.TIMEOUT_SECONDS == 10
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 0.3)
    team.delay = 1.5
    await service.sign_in()
    await eventually_status(service, error="TimeoutError")
    team.delay = 0
    service.clock.move(seconds=6)
    await team.until(2)
    assert len({each.id for each in team.attempts}) == 1


async def test_a_refused_event_holds_up_its_own_user_alone(
    service: Service, team: Receiver
) -> None:
    first = await service.sign_in()
    await team.until(1)
    stuck = await service.sign_in()
    await team.until(2)
    code = await first.invite_code()
    team.answer = lambda request: 400 if request.type == "invite.activated" else 200
    ok(await stuck.activate(code))
    await eventually_status(service, error="status 400")
    ok(await stuck.call("DELETE", "/profile"))
    others = await asyncio.gather(*(service.sign_in() for _ in range(30)))
    await team.until(32)
    assert {person.id() for person in others} <= {each.user for each in team.taken}
    assert [each.type for each in team.taken if each.user == stuck.id()] == ["user.created"]
    team.answer = lambda _: 200
    service.clock.move(seconds=6)
    await team.until(34)
    assert [each.type for each in team.taken if each.user == stuck.id()] == [
        "user.created",
        "invite.activated",
        "user.deleted",
    ]


async def test_order_is_kept_for_each_user_whatever_fails(service: Service, team: Receiver) -> None:
    """Every third try fails; the users' events still come as they happened."""
    team.answer = lambda _: 500 if len(team.attempts) % 3 == 0 else 200
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
    total = 1 + 8 * 8
    for _ in range(200):
        if len(team.taken) >= total:
            break
        service.clock.move(seconds=40)
        await asyncio.sleep(0.2)
    happened = ["user.created", *["invite.activated", "invite.voided"] * 3, "user.deleted"]
    for person in people:
        assert [each.type for each in team.taken if each.user == person.id()] == happened
    assert len(team.attempts) > total


async def test_after_three_days_an_event_is_given_up(service: Service, team: Receiver) -> None:
    """Both that a receiver refuses and those that wait for one that is away."""
    team.answer = lambda _: 500
    person = await service.sign_in()
    await eventually_status(service, error="status 500")
    service.clock.move(days=2, hours=23)
    await team.until_tried(2)
    await settled(team)
    assert (await payloads.status(context_of(service))).given_up == 0
    service.clock.move(hours=2)
    await team.until_tried(3)
    await eventually_status(service, given_up=1)
    assert await rows("next_attempt_at IS NOT NULL") == 0
    await team.kill()
    waiting = [await service.sign_in() for _ in range(5)]
    await eventually_status(service, error="ConnectError")
    service.clock.move(days=3, minutes=2)
    await eventually_status(service, given_up=6)
    await team.start()
    team.answer = lambda _: 200
    service.clock.move(minutes=2)
    later = await service.sign_in()
    await team.until(1)
    assert [each.user for each in team.taken] == [later.id()]
    await eventually_status(service, waiting=0)
    # Nothing is lost: an operator sends them again
    assert await payloads.replay(context_of(service), since=None, kind=None) == 7
    await team.until(8)
    assert {each.user for each in team.taken} == {each.id() for each in (person, later, *waiting)}


async def test_a_receiver_that_is_away_is_probed_with_one_event_at_a_time(
    service: Service, team: Receiver
) -> None:
    await team.kill()
    for _ in range(30):
        await service.sign_in()
    await asyncio.sleep(4)
    status = await payloads.status(context_of(service))
    assert status.waiting == 30
    assert status.failing_since is not None
    assert await attempts() <= 25
    await team.start()
    service.clock.move(minutes=1)
    taken = await team.until(30)
    assert len({each.id for each in taken}) == 30
    await eventually_status(service, waiting=0)


async def test_an_outage_ends_where_another_process_took_it_over(
    database_url: str, team: Receiver
) -> None:
    async with running(database_url, **team.settings) as service:
        await team.kill()
        for _ in range(2):
            await service.sign_in()
        async with asyncio.timeout(15):
            while (await payloads.status(context_of(service))).failing_since is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    await team.start()
    async with running(database_url, **team.settings) as service:
        service.clock.move(minutes=2)
        await team.until(2)
        await eventually_status(service, waiting=0)
        async with asyncio.timeout(15):
            while (await payloads.status(context_of(service))).failing_since:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_a_receiver_that_answers_503_for_hours_gets_all_within_minutes_of_its_return(
    service: Service, team: Receiver
) -> None:
    """As one behind a proxy does: the events are not to blame."""
    team.answer = lambda _: 503
    for _ in range(25):
        await service.sign_in()
    for _ in range(40):
        service.clock.move(minutes=10)
        await asyncio.sleep(0.15)
    assert (await payloads.status(context_of(service))).failing_since is not None
    team.answer = lambda _: 200
    for _ in range(5):
        service.clock.move(minutes=1)
        await asyncio.sleep(1)
    assert len({each.id for each in await team.until(25)}) == 25
    await eventually_status(service, waiting=0)


async def test_a_410_stops_deliveries_until_somebody_resumes_them(
    database_url: str, team: Receiver
) -> None:
    """Also in the processes that come after, and whatever else was under way."""
    async with running(database_url, **team.settings) as service:
        team.answer = lambda _: 410
        await service.sign_in()
        await eventually_status(
            service, is_stopped=True, waiting=1, given_up=0, next_attempt_at=None
        )
        tried = len(team.attempts)
        team.answer = lambda _: 200
        await service.sign_in()
        # Longer than any event waits for its next try, or a receiver for its next probe
        for _ in range(4):
            service.clock.move(days=1)
            await asyncio.sleep(1.2)
        assert len(team.attempts) == tried
    async with running(database_url, **team.settings) as service:
        service.clock.move(days=5)
        await service.sign_in()
        await asyncio.sleep(2)
        assert len(team.attempts) == tried
        await eventually_status(service, is_stopped=True, waiting=3, given_up=0)
        async with asyncio.timeout(15):
            await until_told(service, "referral_webhooks_stopped 1.0")
        assert await payloads.resume()
        await team.until(3)
        await eventually_status(service, is_stopped=False, waiting=0, failing_since=None)
        assert not await payloads.resume()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("600", 600), ("date", 600), ("7200", 3600), ("999999999", 3600)]
)
async def test_retry_after_is_honoured_up_to_an_hour(
    service: Service, team: Receiver, status: int, retry_after: str, seconds: int
) -> None:
    """By every event: it is the receiver that wants to be left alone."""
    if retry_after == "date":
        retry_after = format_datetime(service.clock() + timedelta(seconds=seconds), usegmt=True)
    team.headers, team.answer = f"Retry-After: {retry_after}\r\n", lambda _: status
    await service.sign_in()
    await team.until_tried(1)
    async with asyncio.timeout(10):
        while (await payloads.status(context_of(service))).failing_since is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    team.answer = lambda _: 200
    await service.sign_in()
    service.clock.move(seconds=seconds - 10)
    await asyncio.sleep(1.5)
    assert len(team.attempts) == 1
    service.clock.move(seconds=15)
    await team.until(2)
    await eventually_status(service, waiting=0, failing_since=None)


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(500, "600"), (302, "600"), (503, "soon"), (503, "-5"), (429, "0"), (503, "Mon, 99 Foo")],
)
async def test_another_retry_after_counts_for_nothing(
    service: Service, team: Receiver, status: int, retry_after: str
) -> None:
    team.headers, team.answer = f"Retry-After: {retry_after}\r\n", lambda _: status
    await service.sign_in()
    await team.until_tried(1)
    team.answer = lambda _: 200
    await service.sign_in()
    await team.until(1)
    service.clock.move(seconds=6)
    await team.until(2)


async def test_metrics_tell_what_waits_and_what_became_of_the_tries(
    service: Service, team: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_COUNT_SECONDS", 0)
    team.answer = lambda _: 500
    before = await metric(service, 'referral_deliveries_total{outcome="acknowledged"}')
    for _ in range(3):
        await service.sign_in()
    await team.until_tried(3)
    service.clock.move(seconds=3600)
    async with asyncio.timeout(10):
        while await metric(service, "referral_outbox_events") < 1:  # noqa: ASYNC110 - counted anew
            await asyncio.sleep(0.1)
    team.answer = lambda _: 200
    await team.until(3)
    async with asyncio.timeout(10):
        while await metric(service, "referral_outbox_events"):
            service.clock.move(seconds=3600)
            await asyncio.sleep(0.1)
    after = await metric(service, 'referral_deliveries_total{outcome="acknowledged"}')
    assert after == before + 3


async def test_replay_sends_again_by_type_and_time_with_the_same_ids(
    service: Service, team: Receiver
) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    await team.until(1)
    service.clock.move(hours=2)
    await service.sign_in(invite_code=code)
    first = [each.id for each in await team.until(3)]
    await eventually_status(service, waiting=0)
    ctx = context_of(service)
    assert await payloads.replay(ctx, since=None, kind="invite.activated") == 1
    assert (await team.until(4))[3].id == first[2]
    await eventually_status(service, waiting=0)
    hour_ago = service.clock() - timedelta(hours=1)
    assert await payloads.replay(ctx, since=hour_ago, kind=None) == 2
    assert [each.id for each in (await team.until(6))[4:]] == first[1:]
    assert await payloads.replay(ctx, since=service.clock(), kind=None) == 0


async def test_delivered_events_are_kept_for_30_days(service: Service, team: Receiver) -> None:
    await service.sign_in()
    await team.until(1)
    await eventually_status(service, waiting=0)
    service.clock.move(days=29)
    await housekeeping.purge_expired(context_of(service))
    assert await rows() == 1
    service.clock.move(days=2)
    await housekeeping.purge_expired(context_of(service))
    assert await rows() == 0


async def test_phones_are_not_in_the_outbox(service: Service, team: Receiver) -> None:
    """They join at delivery; of a user who is deleted by then there is none."""
    await team.kill()
    inviter = await service.sign_in()
    invitee = await service.sign_in(invite_code=await inviter.invite_code())
    ok(await invitee.call("DELETE", "/profile"))
    stored = str(await database.query("SELECT * FROM outbox"))
    for person in (inviter, invitee):
        assert person.phone.removeprefix("+") not in stored
    await team.start()
    service.clock.move(minutes=1)
    await team.until(4)
    told = {each.type: each.event["data"] for each in team.taken if each.user == invitee.id()}
    assert told["user.created"]["phone"] is None
    assert told["invite.activated"]["phone"] is None
    assert told["invite.activated"]["inviter_phone"] == inviter.phone


async def test_a_hanging_receiver_costs_no_request_anything(
    service: Service, team: Receiver
) -> None:
    team.delay = 5
    async with asyncio.timeout(5):
        people = [await service.sign_in() for _ in range(30)]
        for person in people:
            await person.profile()
    assert team.most_at_once <= 20
    await team.kill()


def test_the_waits_grow_and_end_after_three_days() -> None:
    now = first = datetime(2026, 1, 1, tzinfo=UTC)
    waits = []
    for number in range(1, 100):
        due = rules.next_attempt_at(number, first=first, now=now)
        if due is None:
            break
        waits.append(due - now)
        now = due
    assert now == first + timedelta(days=3)
    assert waits[0] == timedelta(seconds=5)
    assert waits[:-1] == sorted(waits[:-1])


async def settled(team: Receiver) -> None:
    """The last try is written down."""
    await database.query("SELECT 1")
    await eventually(lambda: not sum(team.under_way.values()))
    await asyncio.sleep(0.4)


async def eventually_status(service: Service, **fields: Any) -> None:
    async with asyncio.timeout(20):
        while True:
            found = await payloads.status(context_of(service))
            if all(getattr(found, name) == value for name, value in fields.items()):
                return
            await asyncio.sleep(0.05)


async def until_told(service: Service, line: str) -> None:
    while line not in (await service.get("/metrics")).text:  # noqa: ASYNC110 - another task
        await asyncio.sleep(0.2)


async def rows(condition: str = "1 = 1") -> int:
    (row,) = await database.query(f"SELECT count(*) AS number FROM outbox WHERE {condition}")  # noqa: S608 - our own
    number: int = row["number"]
    return number


async def metric(service: Service, name: str) -> float:
    lines = (await service.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def attempts() -> int:
    (row,) = await database.query("SELECT sum(attempts) AS number FROM outbox")
    return int(row["number"])


async def service_leases() -> int:
    (row,) = await database.query("SELECT count(*) AS n FROM leases WHERE name = 'webhooks'")
    number: int = row["n"]
    return number
