"""The service with four worker processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest

from parallel_requests import client
from processes import Server, new_database, serving
from referral.core import seal
from referral.core.keys import Keyring, Purpose
from support import Clock, Inbox, Person, Service, new_phone, ok, refused, with_wrong_code

RACES = 30


@pytest.fixture(scope="module")
async def four_workers(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Server]:
    """A server with four processes and its own database."""
    folder = tmp_path_factory.mktemp("four-workers")
    url = await new_database(database_kind, folder, request)
    with serving(folder, DATABASE_URL=url, WEB_CONCURRENCY="4") as server:
        yield server


@pytest.fixture
async def all_processes(four_workers: Server) -> AsyncIterator[Service]:
    """A client that opens a connection for each request, so that all processes get requests."""
    async with client(four_workers) as http:
        yield Service(http, Clock(), Inbox())


async def test_parallel_right_codes_sign_in_once(all_processes: Service) -> None:
    sent = await all_processes.send_code(new_phone())
    responses = await asyncio.gather(*(all_processes.verify(sent) for _ in range(50)))
    assert sum(response.is_success for response in responses) == 1
    assert {response.status_code for response in responses} <= {201, 400, 429}


async def test_three_of_ten_parallel_wrong_guesses_are_compared(
    all_processes: Service,
) -> None:
    sent = await all_processes.send_code(new_phone())
    wrong = with_wrong_code(sent)
    bodies = [
        response.json()
        for response in await asyncio.gather(*(all_processes.verify(wrong) for _ in range(10)))
    ]
    codes = [body["code"] for body in bodies]
    assert sorted(codes) == ["too_many_attempts"] * 7 + ["wrong_code"] * 3
    assert sorted(body["attempts_left"] for body in bodies if "attempts_left" in body) == [0, 1, 2]
    refused(await all_processes.verify(sent), 429, "too_many_attempts")


async def test_parallel_refreshes_get_one_successor(all_processes: Service) -> None:
    person = await all_processes.sign_in()
    for _ in range(5):
        responses = await asyncio.gather(*(person.refresh() for _ in range(20)))
        successors = {ok(response)["refresh_token"] for response in responses}
        assert len(successors) == 1
        assert person.tokens["refresh_token"] not in successors
        person.tokens = ok(responses[0])
    assert (await person.profile())["phone"] == person.phone


async def test_parallel_sign_ups_create_one_user(all_processes: Service) -> None:
    phone = new_phone()
    sent = [await all_processes.send_code(phone) for _ in range(10)]
    responses = await asyncio.gather(*(all_processes.verify(each) for each in sent))
    assert sorted(response.status_code for response in responses) == [200] * 9 + [201]
    assert len({response.json()["profile"]["invite_code"] for response in responses}) == 1


async def test_mutual_activations_leave_no_loop(all_processes: Service) -> None:
    """In a ring of 2 to 4 users, all activate the next one's code at the same time."""
    random = Random(11)  # noqa: S311 - a seed, for the same rings each time
    for _ in range(RACES):
        size = random.randint(2, 4)
        ring = await asyncio.gather(*(all_processes.sign_in() for _ in range(size)))
        codes = [person.tokens["profile"]["invite_code"] for person in ring]
        responses = await asyncio.gather(
            *(person.activate(codes[(n + 1) % size]) for n, person in enumerate(ring))
        )
        assert sorted(response.status_code for response in responses) == [200] * (size - 1) + [409]
        refused(next(response for response in responses if response.is_error), 409, "invite_loop")
        await assert_counts_are_exact(ring)


async def test_one_of_many_parallel_activations_by_a_user_wins(all_processes: Service) -> None:
    inviters = await asyncio.gather(*(all_processes.sign_in() for _ in range(8)))
    person = await all_processes.sign_in()
    responses = await asyncio.gather(
        *(person.activate(inviter.tokens["profile"]["invite_code"]) for inviter in inviters)
    )
    assert sorted(response.status_code for response in responses) == [200] + [409] * 7
    await assert_counts_are_exact([person, *inviters])


async def test_parallel_activations_of_one_code_are_all_counted(
    all_processes: Service,
) -> None:
    inviter = await all_processes.sign_in()
    code = await inviter.invite_code()
    invitees = await asyncio.gather(*(all_processes.sign_in() for _ in range(30)))
    responses = await asyncio.gather(*(invitee.activate(code) for invitee in invitees))
    assert {response.status_code for response in responses} == {200}
    await assert_counts_are_exact([inviter, *invitees])
    assert (await inviter.profile())["invitee_count"] == 30


async def test_activation_during_deletion_leaves_no_invitee(
    all_processes: Service,
) -> None:
    """Either the activation comes first and is deleted with the user, or it responds with 401."""
    inviter = await all_processes.sign_in()
    code = await inviter.invite_code()
    for _ in range(RACES):
        person = await all_processes.sign_in()
        activated, deleted = await asyncio.gather(
            person.activate(code), person.call("DELETE", "/profile")
        )
        assert deleted.status_code == 204
        assert activated.status_code in {200, 401}, activated.text
    assert (await inviter.profile())["invitee_count"] == 0


async def test_a_slow_gateway_delays_no_other_request(tmp_path: Path) -> None:
    """The simulated one takes 1 to 2 s: 20 concurrent sends end sooner than 5 in a row would."""
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


async def assert_counts_are_exact(people: list[Person]) -> None:
    """Each user's count is the number of profiles with that user's code as the activated one."""
    profiles = await asyncio.gather(*(person.profile() for person in people))
    for profile in profiles:
        invitees = [
            other["phone"]
            for other in profiles
            if other["activated_invite_code"] == profile["invite_code"]
        ]
        assert sorted(profile["invitees"]) == sorted(invitees)
        assert profile["invitee_count"] == len(invitees)


async def test_a_challenge_is_sealed_and_not_stored(tmp_path: Path) -> None:
    """The key derived from the secret opens it. The database holds nothing from it."""
    secret = "a secret of this test with 32 bytes or more 0123456789"
    with serving(tmp_path, REFERRAL_SECRET=secret) as server:
        async with httpx.AsyncClient(base_url=server.url) as http:
            sent = await Service(http, Clock(), Inbox()).send_code("+79991234567")
    (key,) = Keyring([secret.encode()]).all(Purpose.SIGN_IN)
    carried = json.loads(seal.decrypt(sent["token"], [key]))
    assert carried["phone"] == "+79991234567"
    assert carried["purpose"] == Purpose.SIGN_IN
    assert sent["code"] not in {carried["salt"], carried["digest"], carried["id"]}
    files = list(tmp_path.glob("referral.sqlite3*"))  # noqa: ASYNC240 - nothing else runs now
    stored = b"".join(file.read_bytes() for file in files)
    for trace in (carried["digest"], carried["salt"], carried["id"], "+79991234567"):
        assert trace.encode() not in stored
