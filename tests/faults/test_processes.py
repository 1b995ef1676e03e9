"""The service with several worker processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest

from processes import Server, new_postgres_database, serving
from referral.core import seal
from referral.core.keys import Keyring, Purpose
from support import Clock, Inbox, Person, Service, new_phone, ok, refused

RACES = 30


@pytest.fixture(scope="module")
async def four_workers(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    """A server with four processes, on a database of its own."""
    folder = tmp_path_factory.mktemp("four-workers")
    if database_kind == "sqlite":
        url = f"sqlite://{folder}/referral.sqlite3"
    else:
        url = await new_postgres_database(request.getfixturevalue("postgres_url"))
    with serving(folder, DATABASE_URL=url, WEB_CONCURRENCY="4") as server:
        yield server


@pytest.fixture
async def many(four_workers: Server) -> AsyncIterator[Service]:
    """Requests spread over all processes: each has a connection of its own."""
    async with client(four_workers) as http:
        yield Service(http, Clock(), Inbox())


async def test_parallel_right_answers_sign_in_once_over_four_workers(many: Service) -> None:
    sent = await many.send_code(new_phone())
    responses = await asyncio.gather(*(many.verify(sent) for _ in range(50)))
    assert sum(response.is_success for response in responses) == 1
    assert {response.status_code for response in responses} <= {201, 400, 429}


async def test_parallel_wrong_guesses_over_four_workers_are_compared_three_times(
    many: Service,
) -> None:
    sent = await many.send_code(new_phone())
    wrong = {**sent, "code": f"{(int(sent['code']) + 1) % 10_000:04}"}
    bodies = [
        response.json()
        for response in await asyncio.gather(*(many.verify(wrong) for _ in range(10)))
    ]
    codes = [body["code"] for body in bodies]
    assert sorted(codes) == ["too_many_attempts"] * 7 + ["wrong_code"] * 3
    assert sorted(body["attempts_left"] for body in bodies if "attempts_left" in body) == [0, 1, 2]
    refused(await many.verify(sent), 429, "too_many_attempts")


async def test_parallel_refreshes_over_four_workers_get_one_successor(many: Service) -> None:
    person = await many.sign_in()
    for _ in range(5):
        responses = await asyncio.gather(*(person.refresh() for _ in range(20)))
        successors = {ok(response)["refresh_token"] for response in responses}
        assert len(successors) == 1
        assert person.tokens["refresh_token"] not in successors
        person.tokens = ok(responses[0])
    assert (await person.profile())["phone"] == person.phone


async def test_parallel_sign_ups_over_four_workers_make_one_user(many: Service) -> None:
    phone = new_phone()
    sent = [await many.send_code(phone) for _ in range(10)]
    responses = await asyncio.gather(*(many.verify(each) for each in sent))
    assert sorted(response.status_code for response in responses) == [200] * 9 + [201]
    assert len({response.json()["profile"]["invite_code"] for response in responses}) == 1


async def test_mutual_activations_over_four_workers_leave_no_loop(many: Service) -> None:
    """Rings of 2 to 4 people, each activating the next one's code at the same time."""
    random = Random(11)  # noqa: S311 - the same rings each time
    for _ in range(RACES):
        size = random.randint(2, 4)
        ring = await asyncio.gather(*(many.sign_in() for _ in range(size)))
        codes = [person.tokens["profile"]["invite_code"] for person in ring]
        responses = await asyncio.gather(
            *(person.activate(codes[(n + 1) % size]) for n, person in enumerate(ring))
        )
        assert sorted(response.status_code for response in responses) == [200] * (size - 1) + [409]
        refused(next(response for response in responses if response.is_error), 409, "invite_loop")
        await assert_counts_are_exact(ring)


async def test_a_phone_activates_one_of_many_codes_over_four_workers(many: Service) -> None:
    inviters = await asyncio.gather(*(many.sign_in() for _ in range(8)))
    person = await many.sign_in()
    responses = await asyncio.gather(
        *(person.activate(inviter.tokens["profile"]["invite_code"]) for inviter in inviters)
    )
    assert sorted(response.status_code for response in responses) == [200] + [409] * 7
    await assert_counts_are_exact([person, *inviters])


async def test_many_activations_of_one_code_over_four_workers_are_all_counted(
    many: Service,
) -> None:
    inviter = await many.sign_in()
    code = await inviter.invite_code()
    invitees = await asyncio.gather(*(many.sign_in() for _ in range(30)))
    responses = await asyncio.gather(*(invitee.activate(code) for invitee in invitees))
    assert {response.status_code for response in responses} == {200}
    await assert_counts_are_exact([inviter, *invitees])
    assert (await inviter.profile())["invitee_count"] == 30


async def test_activating_while_the_account_is_deleted_is_answered_and_counted(
    many: Service,
) -> None:
    """Whichever comes first: activated and then gone, or gone and no longer signed in."""
    inviter = await many.sign_in()
    code = await inviter.invite_code()
    for _ in range(RACES):
        person = await many.sign_in()
        activated, deleted = await asyncio.gather(
            person.activate(code), person.call("DELETE", "/profile")
        )
        assert deleted.status_code == 204
        assert activated.status_code in {200, 401}, activated.text
    assert (await inviter.profile())["invitee_count"] == 0


async def test_a_slow_gateway_holds_up_nobody_else(tmp_path: Path) -> None:
    """The simulated one takes 1 to 2 s: 20 at once are done before 5 in a row could be."""
    settings = {"REFERRAL_SMS_URL": "simulated://"}
    database_url = f"sqlite://{tmp_path}/referral.sqlite3"
    with serving(tmp_path, DATABASE_URL=database_url, **settings) as server:
        async with client(server) as http:
            service = Service(http, Clock(), Inbox())
            sending = [asyncio.create_task(service.send_code(new_phone())) for _ in range(20)]
            meanwhile = await service.get("/health/ready")
            assert meanwhile.status_code == 200
            assert not any(task.done() for task in sending)
            done, late = await asyncio.wait(sending, timeout=5)
    assert (len(done), len(late)) == (20, 0)
    assert len({task.result()["token"] for task in done}) == 20


def client(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
    )


async def assert_counts_are_exact(people: list[Person]) -> None:
    """Everybody's count is the number of those who say they activated that code."""
    profiles = await asyncio.gather(*(person.profile() for person in people))
    for profile in profiles:
        invitees = [
            other["phone"]
            for other in profiles
            if other["activated_invite_code"] == profile["invite_code"]
        ]
        assert sorted(profile["invitees"]) == sorted(invitees)
        assert profile["invitee_count"] == len(invitees)


async def test_a_challenge_of_a_running_server_opens_with_the_derived_key_alone(
    tmp_path: Path,
) -> None:
    """Nothing of it is in the database, which has the count of its guesses at most."""
    secret = "a secret of this test with 32 bytes or more 0123456789"
    with serving(tmp_path, REFERRAL_SECRET=secret) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            sent = await Service(http, Clock(), Inbox()).send_code("+79991234567")
    (key,) = Keyring([secret.encode()]).all(Purpose.SIGN_IN)
    carried = json.loads(seal.decrypt(sent["token"], [key]))
    assert carried["phone"] == "+79991234567"
    assert carried["purpose"] == Purpose.SIGN_IN
    assert sent["code"] not in {carried["salt"], carried["digest"], carried["id"]}
    files = list(tmp_path.glob("referral.sqlite3*"))  # noqa: ASYNC240 - the server has ended
    stored = b"".join(file.read_bytes() for file in files)
    for trace in (carried["digest"], carried["salt"], carried["id"], "+79991234567"):
        assert trace.encode() not in stored
