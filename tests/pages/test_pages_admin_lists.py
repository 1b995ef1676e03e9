"""Lists in the administration: filters, order, numbers and files of users, and the audit trail."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from pages import (
    Browser,
    error_of,
    found,
    notice_on,
    reasons_on,
    reauthenticate,
    signed_in,
    value_of,
)
from referral.core import csv_values
from referral.core.cursor import CountCursor, encode
from referral.service import housekeeping, user_lists
from referral.storage import database, users
from referral.storage.database import Row
from referral.storage.user_lists import Selection
from support import Person, Service, context_of, ok

USERS, AUDIT = "/admin/users", "/admin/audit"


def links(page: str) -> list[str]:
    """Return the ids of the users in the table, in order."""
    table = page.partition('<table id="users">')[2].partition("</table>")[0]
    return re.findall(r'href="/admin/users/([0-9a-f-]{36})"', table)


def numbers(page: str) -> str:
    return " ".join(found(r'id="counts">(.*?)</b>', page).split())


async def inviter_of(service: Service, number: int) -> Person:
    inviter = await service.sign_in()
    for _ in range(number):
        await service.sign_in(invite_code=await inviter.invite_code())
    return inviter


async def test_filters_of_users(service: Service, admin: Browser) -> None:
    """Each filter shows the users it names, with their numbers; together they narrow the list."""
    anna = await inviter_of(service, 2)
    boris = await service.sign_in()
    await users.set_fields(UUID(boris.id()), is_blocked=True)
    everybody = await admin.see(USERS)
    assert (len(links(everybody)), numbers(everybody)) == (5, "5 users · 1 blocked")
    assert '<details class="filters">' in everybody
    blocked = await admin.see(f"{USERS}?blocked=yes")
    assert (links(blocked), numbers(blocked)) == ([boris.id()], "1 user")
    assert 'name="blocked" type="checkbox" value="yes" checked' in blocked
    assert '<details class="filters" open>' in blocked
    assert f'href="{USERS}">Clear<' in blocked
    administrators = await admin.see(f"{USERS}?admins=yes")
    assert len(links(administrators)) == 1
    assert "administrator</span>" in administrators
    assert links(await admin.see(f"{USERS}?admins=yes&blocked=yes")) == []
    for text in (await anna.invite_code(), anna.phone, anna.id()):
        invited = await admin.get(f"{USERS}?inviter={text.replace('+', '%2B')}")
        assert len(links(invited.text)) == 2
        assert anna.id() not in links(invited.text)


async def test_period_of_joining(service: Service, admin: Browser) -> None:
    """Both days are included, and each may be left out."""
    early = await service.sign_in()
    day = service.clock().date()
    service.clock.move(hours=24)
    late = await service.sign_in()
    next_day = service.clock().date()
    assert early.id() in links(await admin.see(f"{USERS}?to={day}"))
    assert late.id() not in links(await admin.see(f"{USERS}?to={day}"))
    assert links(await admin.see(f"{USERS}?from={next_day}")) == [late.id()]
    assert len(links(await admin.see(f"{USERS}?from={day}&to={next_day}"))) == 3


async def test_wrong_filters_are_refused_beside_their_fields(admin: Browser) -> None:
    """What was typed into the others stays."""
    for query, field in (
        ("inviter=ZZZZZZ&search=anna", "inviter"),
        ("from=2026-02-01&to=2026-01-01&search=anna", "from"),
        ("to=32&search=anna", "to"),
    ):
        response = await admin.get(f"{USERS}?{query}")
        assert (response.status_code, response.headers["location"]) == (303, USERS)
        page = await admin.see(USERS)
        assert error_of(page, field)
        assert value_of(page, "search") == "anna"
        assert '<details class="filters" open>' in page
    for query in ("order=x&cursor=x", "order=most_invitees&cursor=x", "cursor=x"):
        assert (await admin.get(f"{USERS}?{query}")).status_code == 400
    cursor = encode(CountCursor(1, UUID(int=0)))
    assert (await admin.get(f"{USERS}?cursor={cursor}")).status_code == 400


@pytest.mark.parametrize("order", ["newest", "oldest", "most_invitees"])
async def test_each_order_shows_every_user_once(
    service: Service, admin: Browser, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order continues on each page, and the links keep it."""
    monkeypatch.setattr("referral.http.pages.admin.user_lists._PAGE_SIZE", 2)
    for number in (0, 2, 1):
        await inviter_of(service, number)
    path, seen = f"{USERS}?order={order}", []
    while path:
        page = await admin.see(path)
        seen += links(page)
        path = "".join(re.findall(r'rel="next" href="([^"]+)"', page))
    rows = {user_id: await users.get(UUID(user_id)) for user_id in seen}
    assert len(seen) == len(rows) == 7
    ordered = [rows[user_id] for user_id in seen]
    if order == "most_invitees":
        assert [row.invitee_count for row in ordered] == [2, 1, 0, 0, 0, 0, 0]
    else:
        joined = [row.created_at for row in ordered]
        assert joined == sorted(joined, reverse=order == "newest")


async def test_count_stops_at_its_bound(
    service: Service, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("referral.http.pages.admin.user_lists._PAGE_SIZE", 2)
    monkeypatch.setattr(user_lists, "MAX_COUNTED", 3)
    for _ in range(2):
        await users.set_fields(UUID((await service.sign_in()).id()), is_blocked=True)
    assert numbers(await admin.see(USERS)) == "3 users · 2 blocked"
    await service.sign_in()
    assert numbers(await admin.see(USERS)) == "More than 3 users · 2 blocked"
    counted = await user_lists.count(Selection())
    assert (counted.users, counted.blocked) == (4, 2)


async def test_users_as_csv(
    service: Service, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has all pages of the list, no formula, phones as text; the audit trail has who."""
    monkeypatch.setattr(user_lists, "_EXPORT_PAGE", 2)
    anna = await inviter_of(service, 3)
    ok(await anna.call("PATCH", "/profile", json={"name": "=1+1;=2+2", "email": "a@example.com"}))
    await service.sign_in()
    response = await admin.get(f"{USERS}.csv?order=oldest&inviter={await anna.invite_code()}")
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert len(rows) == 3
    assert {row["activated_invite_code"] for row in rows} == {await anna.invite_code()}
    everybody = list(csv.DictReader(io.StringIO((await admin.get(f"{USERS}.csv")).text)))
    [own] = [row for row in everybody if row["id"] == anna.id()]
    assert (own["phone"], own["name"]) == (f'="{anna.phone}"', '="=1+1;\'=2+2"')
    assert csv_values.unescape(own["phone"]) == anna.phone
    assert own["invitee_count"] == "3"
    assert len(everybody) == 6
    most_first = (await admin.get(f"{USERS}.csv?order=most_invitees")).text
    ids = [row["id"] for row in csv.DictReader(io.StringIO(most_first))]
    assert ids == [row["id"] for row in everybody]
    assert (await admin.get(f"{USERS}.csv?inviter=ZZZZZZ")).status_code == 400
    trail = await admin.see(f"{AUDIT}?action=users_downloaded")
    assert trail.count("<b>downloaded a list of users</b>") == 3
    async with signed_in(service) as other:
        assert (await other.get(f"{USERS}.csv")).status_code == 403


async def test_filters_of_the_audit_trail(service: Service, admin: Browser) -> None:
    """By user, by who acted, by action and by days."""
    person = await service.sign_in()
    key = await service.api_key()
    ok(await key.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))
    (name,) = re.findall(r"by the API key <bdi>([^<]+)<", await admin.see(AUDIT))[:1]

    async def actions(**query: str) -> list[str]:
        response = await admin.http.get(AUDIT, params=query)
        trail = response.text.partition('<ol class="trail">')[2]
        return re.findall(r"<b>([^<]+)</b>", trail)

    assert await actions(user=person.phone) == ["user blocked", "signed in", "signed up"]
    assert await actions(user=person.phone, action="signed_in") == ["signed in"]
    assert await actions(actor=name) == ["user blocked"]
    assert await actions(actor=person.id()) == ["signed in", "signed up"]
    assert await actions(actor=f"user:{person.id()}") == ["signed in", "signed up"]
    assert set(await actions(actor="command")) == {"made an administrator", "API key made"}
    today = service.clock().date()
    assert await actions(to=str(today - timedelta(days=1))) == []
    assert await actions(**{"from": str(today)}, user=person.id()) == await actions(
        user=person.id()
    )
    service.clock.move(hours=24 * 31)
    async with signed_in(service, admin.phone) as later:
        page = await later.see(f"{AUDIT}?action=user_blocked")
        assert "There are no entries." in page
        assert value_of(page, "to") == str(service.clock().date())


@pytest.mark.parametrize(
    ("query", "field"),
    [("user=x", "user"), ("from=x", "from"), ("to=x", "to"), ("actor=x%00", "actor")],
)
async def test_wrong_filters_of_the_audit_trail(admin: Browser, query: str, field: str) -> None:
    response = await admin.get(f"{AUDIT}?{query}")
    assert (response.status_code, response.headers["location"]) == (303, AUDIT)
    page = await admin.see(AUDIT)
    assert error_of(page, field)
    assert value_of(page, field) == "x"


ACTIONS = ("block", "unblock", "make-admin", "take-admin", "void", "delete")


async def test_reason_is_kept_until_the_person_is_deleted(service: Service, admin: Browser) -> None:
    """The trail, the user's page and the API show it; the deletion's own reason stays a while."""
    inviter = await service.sign_in()
    person = await service.sign_in(invite_code=await inviter.invite_code())
    key = await service.api_key()
    path = f"{USERS}/{person.id()}"
    for action in ACTIONS[:-1]:
        await admin.submit(f"{path}/{action}", reason=f"why {action}\n\u200b")
    for page in (await admin.see(path), await admin.see(f"{AUDIT}?user={person.id()}")):
        for action in ACTIONS[:-1]:
            assert f"Reason: <bdi>why {action}</bdi>" in page
    trail = ok(await key.call("GET", f"/audit?user={person.id()}"))["items"]
    assert [entry["reason"] for entry in trail[:5]] == [f"why {each}" for each in ACTIONS[4::-1]]
    assert trail[-1]["reason"] is None
    await admin.submit(f"{path}/delete", reason="asked for it")
    trail = ok(await key.call("GET", f"/audit?user={person.id()}"))["items"]
    assert trail[0]["reason"] == "asked for it"
    assert {entry["reason"] for entry in trail[1:]} == {None}


async def test_confirmations_name_the_person(service: Service, admin: Browser) -> None:
    """Each asks about this person, and takes a reason of at most 200 characters."""
    person = await service.sign_in(invite_code=await (await service.sign_in()).invite_code())
    ok(await person.call("PATCH", "/profile", json={"name": "Anna"}))
    path = f"{USERS}/{person.id()}"
    page = await admin.see(path)
    asked = re.findall(r'<details class="ask">.*?<p>(.*?)</p>.*?name="reason"', page, re.DOTALL)
    assert len(asked) == 4
    for sentence in asked:
        assert "<bdi>Anna</bdi> (<b" in sentence
        assert "?" in sentence
    await admin.submit(f"{path}/block", reason="x" * 300)
    assert f"Reason: <bdi>{'x' * 200}</bdi>" in await admin.see(path)
    await admin.submit(f"{path}/unblock", reason="  ")
    assert (await admin.see(path)).count("Reason: ") == 1


async def test_reason_survives_the_reauthentication(service: Service, admin: Browser) -> None:
    """It is filled in again only in the form that it was typed into, whose question is open."""
    path = f"{USERS}/{(await service.sign_in()).id()}/block"
    service.clock.move(minutes=16)
    where = await admin.submit(path, reason="Selling codes")
    page = await admin.see(await reauthenticate(admin, where))
    assert notice_on(page).startswith("Nothing is changed yet.")
    assert reasons_on(page) == {path: "Selling codes"}


async def test_reason_survives_the_sign_in(service: Service, admin: Browser) -> None:
    """Also if the name of the key has characters that its URL escapes."""
    for name in ("till 1/2", "till 2"):
        page = await admin.submit_and_see("/admin/keys", name=name)
    revoke = found(r'action="(/admin/keys/till%[^"]*1[^"]*/revoke)"', page)
    for name in ("access", "refresh"):
        admin.http.cookies.delete(name)
    where = await admin.submit(revoke, reason="Not in use")
    then = found(r'action="/">.*?name="next" value="([^"]+)"', await admin.see(where))
    service.clock.move(seconds=3)
    assert await admin.sign_in(next=then) == then
    assert reasons_on(await admin.see(then)) == {revoke: "Not in use"}


async def test_reason_survives_a_refusal(admin: Browser, service: Service) -> None:
    path = f"{USERS}/{(await service.sign_in()).id()}/void"
    assert reasons_on(await admin.submit_and_see(path, reason="A farm")) == {path: "A farm"}


async def test_old_reasons_of_deletions_are_cleared(service: Service, admin: Browser) -> None:
    person = await service.sign_in()
    await admin.submit(f"{USERS}/{person.id()}/delete", reason="asked for it")
    key = await service.api_key()

    async def reason() -> str | None:
        entry, *_ = ok(await key.call("GET", f"/audit?user={person.id()}"))["items"]
        kept: str | None = entry["reason"]
        return kept

    service.clock.move(hours=24 * 89)
    await housekeeping.purge_expired(context_of(service))
    assert await reason() == "asked for it"
    service.clock.move(hours=48)
    await housekeeping.purge_expired(context_of(service))
    assert await reason() is None


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
async def test_filters_are_answered_by_an_index(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite compares the condition of a partial index letter by letter."""
    asked: list[tuple[str, tuple[object, ...]]] = []
    query = database.query_replica

    async def keep(sql: str, *values: object) -> Sequence[Row]:
        asked.append((sql, values))
        return await query(sql, *values)

    monkeypatch.setattr(database, "query_replica", keep)
    selections = {
        "users_blocked_by_age": Selection(is_blocked=True),
        "users_admins_by_age": Selection(is_admin=True, order="oldest"),
        "users_by_invitee_count": Selection(order="most_invitees"),
    }
    for index, selection in selections.items():
        asked.clear()
        await user_lists.page(context_of(service), selection, cursor=None, limit=50)
        (sql, values), *_ = asked
        plan = await query(f"EXPLAIN QUERY PLAN {sql}", *values)
        assert index in str([row["detail"] for row in plan])
        assert "TEMP B-TREE" not in str([row["detail"] for row in plan])
