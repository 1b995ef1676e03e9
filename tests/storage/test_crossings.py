"""Two things at the same moment, one of them held up in the middle.

On PostgreSQL, by a lock that another connection holds. On SQLite there is one writer at a time, so
only the wait for the turn itself can go wrong.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from locks import on_postgres, somebody_else, until_somebody_waits
from referral.limits import counters
from referral.storage import configuration, database, invitations
from referral.storage.engines.sqlite import Client
from referral.storage.models import Event
from referral.webhooks import outbox
from referral.webhooks.delivery import Failure
from referral.webhooks.results import Results
from support import Person, Service, new_phone, ok, refused, running

# Beyond what the service itself clears away meanwhile
MOMENT = datetime(2050, 1, 1, tzinfo=UTC)

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


async def move(connection: Any, person: Person, phone: str) -> None:
    """What a change of phone writes."""
    await connection.execute(
        "UPDATE users SET phone = $1, inviter_sees_phone = false WHERE phone = $2",
        phone,
        person.phone,
    )


@on_postgres
async def test_the_old_phone_does_not_sign_in_to_the_account_that_is_leaving_it(
    database_url: str, service: Service
) -> None:
    owner = await service.sign_in()
    service.clock.move(seconds=3)
    sent = await service.send_code(owner.phone)
    async with somebody_else(database_url) as other:
        moving = other.transaction()
        await moving.start()
        await move(other, owner, new_phone())
        signing_in = asyncio.create_task(service.verify(sent))
        await until_somebody_waits(other)
        await moving.commit()
        response = await signing_in
    assert response.status_code == 201
    assert response.json()["profile"]["invite_code"] != await owner.invite_code()


@on_postgres
async def test_an_activation_does_not_cross_a_change_to_a_phone_that_activated_before(
    database_url: str, service: Service
) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    earlier = await service.sign_in(invite_code=code)
    ok(await earlier.call("DELETE", "/profile"))
    mover = await service.sign_in()
    async with somebody_else(database_url) as other:
        moving = other.transaction()
        await moving.start()
        await move(other, mover, earlier.phone)
        activating = asyncio.create_task(mover.activate(code))
        await until_somebody_waits(other)
        await moving.commit()
        refused(await activating, 409, "invite_already_activated")
    assert (await inviter.profile())["invitees"] == []


@on_postgres
@pytest.mark.parametrize("what", ["change of phone", "deletion"])
async def test_a_session_ended_meanwhile_does_nothing_that_cannot_be_undone(
    database_url: str, service: Service, what: str
) -> None:
    owner = await service.sign_in()
    service.clock.move(seconds=3)
    thief = await service.sign_in(owner.phone)
    sent = ok(await thief.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    async with somebody_else(database_url) as other:
        holding = other.transaction()
        await holding.start()
        await other.execute("SELECT 1 FROM users WHERE phone = $1 FOR UPDATE", owner.phone)
        if what == "deletion":
            stealing = asyncio.create_task(thief.call("DELETE", "/profile"))
        else:
            body = {"token": sent["token"], "code": sent["code"]}
            stealing = asyncio.create_task(thief.call("PUT", "/profile/phone", json=body))
        await until_somebody_waits(other)
        ok(await owner.call("DELETE", "/sessions"))
        await holding.rollback()
        refused(await stealing, 401, "unauthorized")
    service.clock.move(seconds=3)
    assert not (await service.sign_in(owner.phone)).is_new


@on_sqlite
async def test_a_transaction_that_cannot_begin_gives_the_lock_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the file longer than we wait: 503, and all is well when they let go."""
    monkeypatch.setattr(configuration, "BUSY_MILLISECONDS", 200)
    async with running(database_url) as service:
        person = await service.sign_in()
        other = sqlite3.connect(database_url.removeprefix("sqlite://"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        response = await person.activate("7KQ2MX")
        refused(response, 503, "storage_unavailable")
        assert int(response.headers["retry-after"]) > 0
        other.execute("ROLLBACK")
        other.close()
        async with asyncio.timeout(10):
            refused(await person.activate("7KQ2MX"), 404, "unknown_invite_code")


async def test_a_file_that_is_locked_while_it_opens_is_opened_whole_afterwards(
    tmp_path: Path,
) -> None:
    """Two processes make one at the same time: the other waits, and has its foreign keys."""
    file = tmp_path / "fresh.sqlite3"
    impatient, patient = (
        Client(str(file), busy_timeout=wait, connection_name="sqlite") for wait in (100, 5000)
    )
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(database.Unavailable):
            await impatient.execute_query_dict("PRAGMA foreign_keys")
        waiting = asyncio.create_task(patient.execute_query_dict("PRAGMA foreign_keys"))
        await asyncio.sleep(0.1)
        other.execute("ROLLBACK")
    async with asyncio.timeout(10):
        for client in (impatient, patient):
            assert await client.execute_query_dict("PRAGMA foreign_keys") == [{"foreign_keys": 1}]
        assert await waiting == [{"foreign_keys": 1}]
    await impatient.close()
    await patient.close()


@on_sqlite
async def test_an_outage_that_begins_while_results_cannot_be_written_is_kept(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits until it can be written down is not what was read there before."""
    monkeypatch.setattr(configuration, "BUSY_MILLISECONDS", 200)
    async with running(database_url):
        events = [
            Event(
                sequence=place,
                id=uuid4(),
                type="user.created",
                data="{}",
                at=MOMENT,
                next_attempt_at=MOMENT,
            )
            for place in (1, 2)
        ]
        results = Results(clock=lambda: MOMENT, written=lambda _: None)
        results.acknowledged(events[0])
        other = sqlite3.connect(database_url.removeprefix("sqlite://"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        saving = asyncio.create_task(results.save())
        await asyncio.sleep(0.05)
        results.failed(events[1], Failure("ConnectError", no_connection=True))
        with pytest.raises(database.Unavailable):
            await saving
        other.close()
        breaker = results.breaker
        assert breaker is not None
        await results.read_breaker()
        assert results.breaker == breaker
        await results.save()
        await results.read_breaker()
        assert results.breaker == breaker


@on_postgres
async def test_a_transaction_that_cannot_begin_gives_the_connection_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection of the pool stalls while transactions open on it."""
    monkeypatch.setattr(configuration, "POOL_SIZE", 2)
    async with somebody_else(database_url) as other, running(database_url) as service:
        person = await service.sign_in()
        await asyncio.gather(*(person.profile() for _ in range(4)))
        pids = [
            row["pid"]
            for row in await other.fetch(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )
        ]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            outcomes = await asyncio.gather(
                *(database.transaction(lambda: database.query("SELECT 1")) for _ in pids),
                return_exceptions=True,
            )
            assert all(isinstance(outcome, database.Unavailable) for outcome in outcomes)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            assert (await person.profile())["phone"] == person.phone
            ok(await person.refresh())


@on_postgres
@pytest.mark.parametrize(
    ("insert", "renew", "forget"),
    [
        (
            "INSERT INTO counters (key, tat) VALUES ('k', 4000000000000000)",
            "UPDATE counters SET tat = 6000000000000000",
            lambda: counters.purge(before=5_000_000_000_000_000, most=10),
        ),
        (
            (
                "INSERT INTO past_activations (phone_digest, expires_at)"
                " VALUES ('digest', '2040-01-01Z')"
            ),
            "UPDATE past_activations SET expires_at = '2060-01-01Z'",
            lambda: invitations.purge_activations(before=MOMENT, most=10),
        ),
        (
            (
                "INSERT INTO outbox (id, type, user_id, data, at, attempts, finished_at)"
                " VALUES (gen_random_uuid(), 't', gen_random_uuid(), '{}', '2040-01-01Z', 1,"
                " '2040-01-01Z')"
            ),
            "UPDATE outbox SET finished_at = NULL, next_attempt_at = '2060-01-01Z'",
            lambda: outbox.purge(before=MOMENT, most=10),
        ),
    ],
    ids=["counter", "phone-digest", "event"],
)
async def test_what_is_renewed_while_it_is_cleared_away_stays(
    database_url: str,
    service: Service,  # noqa: ARG001 - its database
    insert: str,
    renew: str,
    forget: Callable[[], Coroutine[Any, Any, int]],
) -> None:
    """A charge that crosses housekeeping would be a guess that nobody counted."""
    async with somebody_else(database_url) as other:
        await other.execute(insert)
        renewing = other.transaction()
        await renewing.start()
        await other.execute(renew)
        assert await forget() == 0
        await renewing.commit()
        assert await forget() == 0
