"""Opens: what counts as one, when it is saved, and who sees the numbers."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from processes import serving
from referral.service.invite_opens import InviteOpens
from referral.storage import database, invite_opens, users
from support import SECRET, Person, Service, context_of, ok, running

BROWSER = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36"
)
DAY = "2026-03-01"
# By the driver of the database
_OUT_OF_RANGE = (OverflowError, asyncpg.NumericValueOutOfRangeError)


async def opened(
    service: Service, code: str, headers: dict[str, str] | None = None, *, status: int = 200
) -> None:
    """Open an invite link, in a browser unless the headers say otherwise."""
    sent = {"User-Agent": BROWSER} | (headers or {})
    response = await service.http.get(f"/i/{code}", headers=sent)
    assert response.status_code == status


async def until_opens(person: Person, number: int) -> None:
    """Wait until the profile has this number of opens. Fails if it has more."""
    async with asyncio.timeout(15):
        while (found := (await person.profile())["invite_opens"]) < number:  # noqa: ASYNC110 - in the database
            await asyncio.sleep(0.1)
    assert found == number


async def rows() -> list[tuple[UUID, str, int]]:
    found = await database.query("SELECT user_id, day, number FROM invite_opens ORDER BY day")
    return [(UUID(str(row["user_id"])), row["day"], row["number"]) for row in found]


async def test_every_open_counts_in_the_profile(service: Service) -> None:
    """However the code is spelt; reloads count again. Every profile in a response has it."""
    person = await service.sign_in()
    code = await person.invite_code()
    for spelling in (code, code, code.lower()):
        await opened(service, spelling)
    await until_opens(person, 3)
    for method in ("PUT", "PATCH"):
        assert ok(await person.call(method, "/profile", json={"name": "A"}))["invite_opens"] == 3
    again = await service.sign_in_again(person)
    assert again.tokens["profile"]["invite_opens"] == 3
    other = await service.sign_in(invite_code=code)
    assert other.tokens["profile"]["invite_opens"] == 0


async def test_bots_and_previews_do_not_count(service: Service) -> None:
    """Nor do HEAD, a prefetch, a request without User-Agent, and looking a code up by the API."""
    person = await service.sign_in()
    code = await person.invite_code()
    for agent in ("WhatsApp/2.23.20.0 A", "TelegramBot (like TwitterBot)", "curl/8.5.0", ""):
        await opened(service, code, {"User-Agent": agent})
    for name, value in (
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "Prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ):
        await opened(service, code, {name: value})
    head = await service.http.head(f"/i/{code}", headers={"User-Agent": BROWSER})
    assert head.status_code == 200
    ok(await service.get(f"/api/v1/invitations/{code}", **{"User-Agent": BROWSER}))
    await opened(service, code)
    await until_opens(person, 1)


async def test_a_request_without_a_user_agent_is_no_open(service: Service) -> None:
    person = await service.sign_in()
    request = service.http.build_request("GET", f"/i/{await person.invite_code()}")
    del request.headers["User-Agent"]
    assert (await service.http.send(request)).status_code == 200
    await opened(service, await person.invite_code())
    await until_opens(person, 1)


async def test_opens_of_a_used_up_code_do_not_count(service: Service) -> None:
    person = await service.sign_in()
    code = await person.invite_code()
    await service.sign_in(invite_code=code)
    counts = InviteOpens()
    for invites_per_user in (1, 2, 0):
        counts.add(code, service.clock())
        await counts.save(invites_per_user=invites_per_user)
    assert (await person.profile())["invite_opens"] == 2


async def test_codes_that_cannot_be_activated_have_no_opens(service: Service) -> None:
    """Unknown ones, and those of blocked and deleted users; an unblocked one counts again."""
    blocked, deleted = await service.sign_in(), await service.sign_in()
    codes = [await each.invite_code() for each in (blocked, deleted)]
    await users.set_fields(UUID(blocked.id()), is_blocked=True)
    ok(await deleted.call("DELETE", "/profile"))
    for code in ("000000", "nonsense", *codes):
        await opened(service, code, status=404)
    # As if the page had not looked them up
    counts = InviteOpens()
    for code in ("000000", *codes):
        counts.add(code, service.clock())
    await counts.save()
    await users.set_fields(UUID(blocked.id()), is_blocked=False)
    await opened(service, codes[0])
    await until_opens(blocked, 1)
    assert [user_id for user_id, _, _ in await rows()] == [UUID(blocked.id())]


async def test_opens_of_an_address_without_tries_count(database_url: str) -> None:
    """The page is shown without the inviter's name then, and the code is kept."""
    async with running(database_url, REFERRAL_INVITE_FAILURES_PER_ADDRESS_HOUR="1") as service:
        person = await service.sign_in()
        await opened(service, "000000", status=404)
        await opened(service, await person.invite_code())
        await opened(service, "000001")
        await until_opens(person, 1)


async def test_opens_are_kept_by_utc_day_and_user_only(service: Service) -> None:
    person = await service.sign_in()
    code, user_id = await person.invite_code(), UUID(person.id())
    counts = InviteOpens()
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    for at in (midnight - timedelta(microseconds=1), midnight, midnight):
        counts.add(code, at)
    await counts.save()
    await counts.save()
    assert await rows() == [(user_id, "2026-03-01", 1), (user_id, "2026-03-02", 2)]
    counts.add(code, midnight)
    await counts.save()
    assert (await rows())[1:] == [(user_id, "2026-03-02", 3)]
    (row,) = await database.query("SELECT * FROM invite_opens WHERE day = $1", DAY)
    assert row.keys() == {"id", "user_id", "day", "number"}


async def test_a_failed_save_counts_nothing_twice(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first statement succeeds, the second fails: both are saved by the next save."""
    first, second = sorted([await (await service.sign_in()).invite_code() for _ in range(2)])
    monkeypatch.setattr(invite_opens, "_ROWS_IN_STATEMENT", 1)
    with pytest.raises(_OUT_OF_RANGE):
        await invite_opens.add({(first, DAY): 1, (second, DAY): 1 << 70})
    assert await rows() == []
    counts, at = InviteOpens(), datetime(2026, 3, 1, tzinfo=UTC)
    counts.add(first, at)
    counts.add(second, at)
    await database.query("ALTER TABLE invite_opens RENAME TO gone")
    try:
        with pytest.raises(database.Unavailable):
            await counts.save()
    finally:
        await database.query("ALTER TABLE gone RENAME TO invite_opens")
    counts.add(first, at)
    await counts.save()
    await counts.save()
    assert sorted(number for _, _, number in await rows()) == [1, 2]


async def test_parallel_saves_add_up(service: Service) -> None:
    """They have the same codes in different orders, and none waits for another in a circle."""
    codes = [await (await service.sign_in()).invite_code() for _ in range(20)]
    at = datetime(2026, 3, 1, tzinfo=UTC)

    async def save(order: list[str]) -> None:
        counts = InviteOpens()
        for code in order:
            counts.add(code, at)
        await counts.save()

    await asyncio.gather(*(save(codes[place:] + codes[:place]) for place in range(20)))
    assert [number for _, _, number in await rows()] == [20] * 20


async def test_opens_survive_a_stop(database_url: str, tmp_path: Path) -> None:
    """Two processes count, and save what they counted before they end."""
    async with running(database_url) as service:
        code = await (await service.sign_in()).invite_code()
    settings = {"DATABASE_URL": database_url, "REFERRAL_SECRET": SECRET}
    with serving(tmp_path, WEB_CONCURRENCY="2", **settings) as server:
        for _ in range(20):
            # A connection each, so that both processes get some
            async with httpx.AsyncClient(base_url=server.url) as http:
                page = await http.get(f"/i/{code}", headers={"User-Agent": BROWSER})
                assert page.status_code == 200
        os.kill(server.process.pid, signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
    async with running(database_url):
        assert [number for _, _, number in await rows()] == [20]


async def test_the_profile_reads_opens_by_an_index(service: Service) -> None:
    person = await service.sign_in()
    sql = f"SELECT {invite_opens.OF_USER} FROM users WHERE id = $1"  # noqa: S608 - our own
    if database.is_postgres():
        # Otherwise it reads a table of a few rows without the index
        await database.query(
            "INSERT INTO invite_opens (user_id, day, number) "
            "SELECT gen_random_uuid(), '2026-03-01', 1 FROM generate_series(1, 5000)"
        )
        await database.query("ANALYZE invite_opens")
        plan = await database.query(f"EXPLAIN {sql}", UUID(person.id()))
    else:
        plan = await database.query(f"EXPLAIN QUERY PLAN {sql}", person.id())
    text = str(plan)
    assert "user_id" in text
    assert "Seq Scan on invite_opens" not in text
    assert "SCAN invite_opens" not in text


async def test_opens_in_statistics(service: Service) -> None:
    """By day and in the period; the halves of the K-factor look at newcomers, until now."""
    key = await service.api_key()
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    anna, boris, early, gone = [await service.sign_in() for _ in range(4)]
    for person, at in (
        (anna, noon),
        (boris, noon),
        (early, noon - timedelta(days=9)),
        (gone, noon),
    ):
        await users.set_fields(UUID(person.id()), created_at=at)
    codes = [await each.invite_code() for each in (anna, boris, early, gone)]
    for invitee in [await service.sign_in(invite_code=codes[0]) for _ in range(3)]:
        await users.set_fields(UUID(invitee.id()), created_at=noon + timedelta(days=20))
    await invite_opens.add(
        {
            (codes[0], "2026-03-01"): 4,
            (codes[0], "2026-03-03"): 1,
            (codes[0], "2026-03-09"): 6,
            (codes[1], "2026-03-03"): 1,
            (codes[2], "2026-03-03"): 7,
            (codes[3], "2026-03-03"): 50,
        }
    )
    ok(await gone.call("DELETE", "/profile"))
    await users.set_fields(UUID(boris.id()), is_blocked=True)
    period = {"from": "2026-03-01", "to": "2026-03-03"}
    found = ok(await key.call("GET", "/stats", params=period))
    assert [day["opens"] for day in found["days"]] == [4, 0, 9]
    assert found["opens"] == 13
    assert (found["opens_per_inviter"], found["sign_ups_per_open"]) == (6, 3 / 12)
    assert found["k_factor"] == 1.5 == found["opens_per_inviter"] * found["sign_ups_per_open"]
    empty = {"from": "2026-02-28", "to": "2026-02-28"}
    found = ok(await key.call("GET", "/stats", params=empty))
    halves = (found["opens_per_inviter"], found["sign_ups_per_open"])
    assert (found["opens"], *halves) == (0, None, None)


async def test_pages_show_opens(service: Service) -> None:
    """The inviter's page in one line, the statistics as figures and a column."""
    admin = await service.sign_in_admin()
    code = await admin.invite_code()
    service.http.cookies.set("access", admin.tokens["access_token"])
    assert "was opened" not in (await service.http.get("/me")).text
    await invite_opens.add({(code, service.clock().date().isoformat()): 1})
    assert "Your link was opened 1 time." in (await service.http.get("/me")).text
    await invite_opens.add({(code, service.clock().date().isoformat()): 1233})
    page = await service.http.get("/me", headers={"Accept-Language": "ru"})
    assert "Вашу ссылку открыли 1\u202f234 раза." in page.text
    statistics = (await service.http.get("/admin")).text
    for name in ("today-opens", "opens"):
        assert f'id="{name}">1\u202f234<' in statistics
    assert 'id="opens-per-inviter">1234.00<' in statistics
    assert 'id="sign-ups-per-open">0.00<' in statistics
    assert "<td>1\u202f234\n" in statistics


@pytest.mark.parametrize("database_kind", ["postgres"], indirect=True)
async def test_the_page_waits_for_no_count(service: Service) -> None:
    """A save that hangs delays nobody who opens a link."""
    person = await service.sign_in()
    code, counts = await person.invite_code(), context_of(service).invite_opens
    locked, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        await database.query("LOCK TABLE invite_opens")
        locked.set()
        await release.wait()

    holding = asyncio.create_task(database.transaction(hold))
    await locked.wait()
    counts.add(code, service.clock())
    saving = asyncio.create_task(counts.save())
    async with asyncio.timeout(5):
        await opened(service, code)
    assert not saving.done()
    release.set()
    await asyncio.gather(holding, saving)
    await until_opens(person, 2)
