"""Concurrent operations of which one is blocked in the middle.

On PostgreSQL a lock of another connection blocks it. On SQLite there is one writer at a time, so
only the wait for the lock of the file can go wrong.
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

from locks import on_postgres, on_sqlite, other_connection, wait_for_blocked
from referral.limits import counters
from referral.storage import configuration, database, invitations
from referral.storage.engines.sqlite import Client
from referral.storage.models import Event
from referral.webhooks import outbox
from referral.webhooks.recorder import Recorder
from referral.webhooks.retry import DeliveryFailure
from support import Person, Service, new_phone, ok, refused, running

# So late that housekeeping deletes nothing of it meanwhile
LATER = datetime(2050, 1, 1, tzinfo=UTC)


async def move(connection: Any, person: Person, phone: str) -> None:
    """Write what a change of phone writes."""
    await connection.execute(
        "UPDATE users SET phone = $1, inviter_sees_phone = false WHERE phone = $2",
        phone,
        person.phone,
    )


@on_postgres
async def test_sign_in_during_a_change_of_phone_is_a_new_user(
    database_url: str, service: Service
) -> None:
    owner = await service.sign_in()
    service.clock.move(seconds=3)
    sent = await service.send_code(owner.phone)
    async with other_connection(database_url) as other:
        moving = other.transaction()
        await moving.start()
        await move(other, owner, new_phone())
        signing_in = asyncio.create_task(service.verify(sent))
        await wait_for_blocked(other)
        await moving.commit()
        response = await signing_in
    assert response.status_code == 201
    assert response.json()["profile"]["invite_code"] != await owner.invite_code()


@on_postgres
async def test_activation_during_a_change_of_phone_is_refused(
    database_url: str, service: Service
) -> None:
    """The new phone has activated an invite code before, under an account that it has left."""
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    earlier = await service.sign_in(invite_code=code)
    ok(await earlier.call("DELETE", "/profile"))
    mover = await service.sign_in()
    async with other_connection(database_url) as other:
        moving = other.transaction()
        await moving.start()
        await move(other, mover, earlier.phone)
        activating = asyncio.create_task(mover.activate(code))
        await wait_for_blocked(other)
        await moving.commit()
        refused(await activating, 409, "invite_already_activated")
    assert (await inviter.profile())["invitees"] == []


@on_postgres
@pytest.mark.parametrize("action", ["change of phone", "deletion"])
async def test_a_session_ended_meanwhile_changes_nothing(
    database_url: str, service: Service, action: str
) -> None:
    owner = await service.sign_in()
    service.clock.move(seconds=3)
    thief = await service.sign_in(owner.phone)
    sent = ok(await thief.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
    async with other_connection(database_url) as other:
        holding = other.transaction()
        await holding.start()
        await other.execute("SELECT 1 FROM users WHERE phone = $1 FOR UPDATE", owner.phone)
        if action == "deletion":
            stealing = asyncio.create_task(thief.call("DELETE", "/profile"))
        else:
            body = {"token": sent["token"], "code": sent["code"]}
            stealing = asyncio.create_task(thief.call("PUT", "/profile/phone", json=body))
        await wait_for_blocked(other)
        ok(await owner.call("DELETE", "/sessions"))
        await holding.rollback()
        refused(await stealing, 401, "unauthorized")
    service.clock.move(seconds=3)
    assert not (await service.sign_in(owner.phone)).is_new


@on_sqlite
async def test_a_transaction_that_cannot_begin_releases_the_lock(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the file for longer than the service waits."""
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


async def test_a_file_locked_while_opened_gets_its_pragmas(
    tmp_path: Path,
) -> None:
    """Two processes create the file at the same time. Foreign keys are checked in both."""
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


@pytest.mark.parametrize("kind", ["read", "write", "transaction"])
async def test_nobody_uses_a_connection_that_could_not_be_opened(tmp_path: Path, kind: str) -> None:
    """However many ask for it, and whenever, they all hear that the file is locked."""
    file = tmp_path / "fresh.sqlite3"
    client = Client(str(file), busy_timeout=50, connection_name="sqlite")

    async def use() -> None:
        if kind == "transaction":
            await client.execute_script("SELECT 1")
        elif kind == "write":
            await client.execute_insert("INSERT INTO nothing VALUES (1)", [])
        else:
            await client.execute_query_dict("PRAGMA foreign_keys")

    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tasks = []
        for _ in range(100):
            tasks.append(asyncio.create_task(use()))
            await asyncio.sleep(0.001)
        found = await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    assert {type(each) for each in found} == {database.Unavailable}


@on_sqlite
async def test_an_outage_is_kept_until_it_can_be_saved(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits to be saved is not replaced by what the database still has."""
    monkeypatch.setattr(configuration, "BUSY_MILLISECONDS", 200)
    async with running(database_url):
        events = [
            Event(
                sequence=place,
                id=uuid4(),
                type="user.created",
                data="{}",
                at=LATER,
                next_attempt_at=LATER,
            )
            for place in (1, 2)
        ]
        recorder = Recorder(clock=lambda: LATER, on_saved=lambda _: None)
        recorder.record_acknowledged(events[0])
        other = sqlite3.connect(database_url.removeprefix("sqlite://"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        saving = asyncio.create_task(recorder.save())
        await asyncio.sleep(0.05)
        recorder.record_failed(events[1], DeliveryFailure("ConnectError", no_connection=True))
        with pytest.raises(database.Unavailable):
            await saving
        other.close()
        breaker = recorder.breaker
        assert breaker is not None
        await recorder.load_breaker()
        assert recorder.breaker == breaker
        await recorder.save()
        await recorder.load_breaker()
        assert recorder.breaker == breaker


@on_postgres
async def test_a_transaction_that_cannot_begin_frees_its_connection(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection of the pool stalls while a transaction begins on it."""
    monkeypatch.setattr(configuration, "POOL_SIZE", 2)
    async with other_connection(database_url) as other, running(database_url) as service:
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
    ("insert", "renew", "purge"),
    [
        (
            "INSERT INTO counters (key, tat) VALUES ('k', 4000000000000000)",
            "UPDATE counters SET tat = 6000000000000000",
            lambda: counters.purge(before=5_000_000_000_000_000, batch_size=10),
        ),
        (
            (
                "INSERT INTO past_activations (phone_digest, expires_at)"
                " VALUES ('digest', '2040-01-01Z')"
            ),
            "UPDATE past_activations SET expires_at = '2060-01-01Z'",
            lambda: invitations.purge_past_activations(before=LATER, batch_size=10),
        ),
        (
            (
                "INSERT INTO outbox (id, type, user_id, data, at, attempts, finished_at)"
                " VALUES (gen_random_uuid(), 't', gen_random_uuid(), '{}', '2040-01-01Z', 1,"
                " '2040-01-01Z')"
            ),
            "UPDATE outbox SET finished_at = NULL, next_attempt_at = '2060-01-01Z'",
            lambda: outbox.purge(before=LATER, batch_size=10),
        ),
    ],
    ids=["counter", "phone-digest", "event"],
)
async def test_a_row_renewed_during_a_purge_stays(
    database_url: str,
    service: Service,  # noqa: ARG001 - migrates the database
    insert: str,
    renew: str,
    purge: Callable[[], Coroutine[Any, Any, int]],
) -> None:
    """Otherwise a charge during housekeeping would be lost, and a guess would not be counted."""
    async with other_connection(database_url) as other:
        await other.execute(insert)
        renewing = other.transaction()
        await renewing.start()
        await other.execute(renew)
        assert await purge() == 0
        await renewing.commit()
        assert await purge() == 0
