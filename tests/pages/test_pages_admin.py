"""The pages under /admin."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree as ET

import httpx
import pytest

from pages import ORIGIN, browsing, found, notice_on, reauthenticate, value_of
from referral.http.pages.admin import chart
from referral.service import trees
from referral.service.stats import Day
from referral.storage import database, invitations, users
from support import Person, Service, context_of, new_phone, ok, refused, running

PAGES = (
    "/admin",
    "/admin/users",
    "/admin/rewards",
    "/admin/rules",
    "/admin/keys",
    "/admin/clients",
    "/admin/webhooks",
    "/admin/delivery",
    "/admin/look",
    "/admin/audit",
)
SMALL = 50_000  # bytes, a page with all its assets


@asynccontextmanager
async def signed_in_http(
    service: Service, person: Person | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Open a browser in which this person, if any, is signed in."""
    async with browsing(service) as browser:
        browser.http.headers["Origin"] = ORIGIN
        if person is not None:
            browser.http.cookies.set("access", person.tokens["access_token"])
        yield browser.http


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's browser."""
    async with signed_in_http(service, await service.sign_in_admin()) as http:
        yield http


async def shown(http: httpx.AsyncClient, path: str, status: int = 200) -> str:
    """Return the HTML of a page with whitespace collapsed."""
    response = await http.get(path)
    assert response.status_code == status, response.text
    return re.sub(r"\s+", " ", response.text)


async def sent(http: httpx.AsyncClient, path: str, **fields: str) -> str:
    """Submit a form, and return the page that it redirects to."""
    response = await http.post(path, data=fields)
    assert response.status_code == 303, response.text
    return await shown(http, response.headers["location"])


def number(page: str, name: str) -> str:
    """Return the text of the element with this id."""
    found = re.search(rf'id="{name}"[^>]*>([^<]*)<', page)
    assert found, page
    return found[1]


def links(page: str) -> list[str]:
    """Return the ids of the users that a page links to, in order."""
    return re.findall(r'href="/admin/users/([0-9a-f-]{36})"', page)


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_for_administrators_only(service: Service, path: str) -> None:
    """Without a sign-in they redirect to it. Users get 403, and an API key is no sign-in."""
    async with signed_in_http(service) as http:
        response = await http.get(path)
        assert (response.status_code, response.headers["location"]) == (303, f"/?next={path}")
        key = (await service.api_key()).tokens["access_token"]
        with_key = await http.get(path, headers={"Authorization": f"Bearer {key}"})
        assert with_key.status_code == 303
        http.cookies.set("access", key)
        assert (await http.get(path)).status_code == 303
    async with signed_in_http(service, await service.sign_in()) as http:
        page = await http.get(path)
        assert page.status_code == 403
        assert "This page is only for administrators." in page.text


async def test_options_needs_no_sign_in(service: Service) -> None:
    response = await service.http.options("/admin")
    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert "set-cookie" not in response.headers


async def test_form_of_another_site_does_nothing(
    service: Service, admin: httpx.AsyncClient
) -> None:
    person = await service.sign_in()
    await sent(admin, "/admin/keys", name="crm")
    actions = ("block", "unblock", "make-admin", "take-admin", "void", "delete")
    for path in (
        "/admin/keys",
        "/admin/keys/crm/revoke",
        *(f"/admin/users/{person.id()}/{action}" for action in actions),
    ):
        response = await admin.post(
            path, data={"name": "theirs"}, headers={"Origin": "https://evil.example"}
        )
        assert response.status_code == 403, path
        async with signed_in_http(service) as http:
            assert (await http.post(path)).headers["location"].startswith("/?next=/admin/")
    page = await shown(admin, "/admin/keys")
    assert "/admin/keys/crm/revoke" in page
    assert "theirs" not in page
    assert ok(await person.call("GET", "/profile"))
    refused(await person.call("GET", "/users"), 403, "forbidden")


async def test_open_demo_has_no_administrator(database_url: str) -> None:
    """Because there anybody could sign in as the administrator; the API does the same."""
    async with running(database_url) as service:
        person = await service.sign_in_admin()
    production: dict[str, Any] = {
        "REFERRAL_ENV": "production",
        "REFERRAL_SMS_URL": "simulated://",
        "REFERRAL_TRUSTED_PROXIES": "0",
        "REFERRAL_PUBLIC_URL": "https://demo.example.com",
    }
    async with running(database_url, **production) as service, signed_in_http(service) as http:
        again = await service.sign_in(person.phone)
        http.cookies.set("__Host-access", again.tokens["access_token"])
        assert (await http.get("/admin")).status_code == 403


@pytest.mark.parametrize("path", PAGES)
async def test_page_is_small_and_strict(
    service: Service, admin: httpx.AsyncClient, path: str
) -> None:
    """It is under 50 KB, and its only inline style is the sheet whose digest is in the CSP."""
    for _ in range(3):
        await service.sign_in()
    response = await admin.get(path)
    assert response.status_code == 200
    assert len(response.content) < SMALL
    assert response.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script>|https?://", response.text)
    assert response.text.count("<h1>") == 1
    assert 'aria-current="page"' in response.text
    assert 'href="/me"' in response.text


async def test_statistics(service: Service, admin: httpx.AsyncClient) -> None:
    """They have today's numbers, totals, the chosen days and the top inviters."""
    anna = await service.sign_in()
    for _ in range(2):
        await service.sign_in(invite_code=await anna.invite_code())
    page = await shown(admin, "/admin")
    assert number(page, "today-sign-ups") == "4"
    assert number(page, "today-activations") == "2"
    assert [number(page, name) for name in ("users", "activations", "blocked", "deleted")] == [
        "4",
        "2",
        "0",
        "0",
    ]
    assert number(page, "k-factor") == "0.50"
    assert number(page, "opens-per-inviter") == "0.00"
    assert number(page, "sign-ups-per-open") == "–"
    assert links(page) == [anna.id()]
    assert page.count("<tr><th scope=row>") == 30
    earlier = await shown(admin, "/admin?from=2026-01-01&to=2026-01-03")
    assert number(earlier, "today-sign-ups") == "4"
    assert number(earlier, "sign-ups") == "0"
    assert number(earlier, "k-factor") == "–"
    assert "Nobody's code was activated" in earlier
    assert earlier.count("<tr><th scope=row>") == 3


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2026-02-01", "2026-01-01", "from"),
        ("2020-01-01", "2026-01-01", "from"),
        ("yesterday", "2026-01-01", "from"),
        ("2026-01-01", "32", "to"),
    ],
)
async def test_invalid_days_are_refused_beside_their_field(
    admin: httpx.AsyncClient, first: str, last: str, field: str
) -> None:
    """The typed days are kept."""
    response = await admin.get("/admin", params={"from": first, "to": last})
    assert (response.status_code, response.headers["location"]) == (303, "/admin")
    page = await shown(admin, "/admin")
    assert re.search(rf'name="{field}"[^>]*aria-invalid="true"[^>]*{field}-error', page)
    assert f'id="{field}-error"' in page
    assert f'value="{first}"' in page
    assert f'value="{last}"' in page
    assert 'aria-invalid="true"' not in await shown(admin, "/admin")


def chart_on(page: str) -> ET.Element:
    """Return the chart of the statistics page, which must be well-formed XML."""
    return ET.fromstring(found(r'(<svg class="chart".*</svg>)\n<figcaption', page))  # noqa: S314 - our own


async def test_chart_is_an_accessible_image(service: Service, admin: httpx.AsyncClient) -> None:
    """It has a title, a description, axes, and a tooltip with the numbers of each day."""
    await service.sign_in(invite_code=await (await service.sign_in()).invite_code())
    svg = chart_on((await admin.get("/admin")).text)
    assert svg.attrib["role"] == "img"
    referenced = [svg.attrib["aria-labelledby"], svg.attrib["aria-describedby"]]
    assert [each.attrib["id"] for each in (svg[0], svg[1])] == referenced
    assert svg[0].text == "Sign-ups and activations by day"
    labels = [element.text for element in svg.iter("text")]
    today = context_of(service).clock().date()
    month = [today - timedelta(days=days) for days in (29, 15, 0)]
    assert labels == ["0", "1", "2", "3", *(day.isoformat() for day in month)]
    tooltips = [title.text for title in svg.iter("title")][1:]
    assert len(tooltips) == 30
    assert tooltips[-1] == f"{today} so far · Sign-ups 3 · Activations 1"
    assert {element.tag for element in svg.iter()} <= {
        *("svg", "title", "desc", "line", "text", "path", "rect", "pattern"),
    }


def test_chart_draws_a_bar_and_a_dash_for_each_day() -> None:
    days = [
        Day(day=date(2026, 1, 1 + number), sign_ups=sign_ups, activations=activations, opens=0)
        for number, (sign_ups, activations) in enumerate([(3, 1), (0, 0), (12, 12)])
    ]
    drawn = chart.draw(days, today=date(2026, 1, 4))
    assert drawn.marks == [0, 5, 10, 15]
    assert drawn.bars == "M0.1 15v-3h0.8v3zM2.1 15v-12h0.8v12z"
    assert drawn.dashes == "M0.1 14h0.8M1.1 15h0.8M2.1 3h0.8"
    assert drawn.dated == [0, 1, 2]
    one = chart.draw([days[1]], today=date(2026, 1, 4))
    assert (one.marks, one.dated, one.bars) == ([0, 1], [0], "")


def test_chart_draws_the_unfinished_day_apart() -> None:
    """Its bar and dash are not among those of the other days."""
    days = [
        Day(day=date(2026, 1, 1 + number), sign_ups=2, activations=1, opens=0)
        for number in range(2)
    ]
    drawn = chart.draw(days, today=date(2026, 1, 2))
    assert drawn.bars == "M0.1 2v-2h0.8v2z"
    assert drawn.dashes == "M0.1 1h0.8"
    assert drawn.so_far is not None
    assert (drawn.so_far.top, drawn.so_far.height) == (0, 100)
    assert (round(drawn.so_far.left), round(drawn.so_far.width)) == (55, 40)
    assert drawn.so_far.dash == "M1.1 1h0.8"


async def test_unfinished_day_is_named(service: Service, admin: httpx.AsyncClient) -> None:
    """The description, the legend and the table say it; a period before today has none."""
    today = context_of(service).clock().date()
    page = await shown(admin, "/admin")
    assert "The last day is not over yet: its bar is hatched." in page
    assert "Today, so far (hatched)" in page
    assert re.search(rf'scope=row>{today} <span class="mark">so far</span>', page)
    assert page.count('class="so-far"') == 1
    past = {"from": today - timedelta(days=9), "to": today - timedelta(days=1)}
    earlier = (
        await admin.get("/admin", params={name: str(day) for name, day in past.items()})
    ).text
    assert "hatched" not in earlier
    assert ">so far<" not in earlier


async def test_figures_are_compared_with_the_period_before(service: Service) -> None:
    """Two sign-ups after one are +100 %. Today counts on neither side."""
    service.clock.freeze(datetime(2026, 11, 20, 12, tzinfo=UTC))
    anna = await service.sign_in_admin()
    code = await anna.invite_code()
    service.clock.set(datetime(2026, 11, 27, 12, tzinfo=UTC))
    for _ in range(2):
        await service.sign_in(invite_code=code)
    service.clock.set(datetime(2026, 11, 29, 12, tzinfo=UTC))
    await service.sign_in()
    again = await service.sign_in_again(anna)
    async with signed_in_http(service, again) as http:
        week = await shown(http, "/admin?from=2026-11-23&to=2026-11-29")
        assert number(week, "sign-ups") == "3"
        assert number(week, "sign_ups-before") == "+100 %, 1 before (2 without today)"
        assert number(week, "activations-before") == "0 before"
        compared = re.sub("<[^>]+>", "", found(r'id="compared">(.*?)</p>', week))
        assert compared.startswith("Compared with 2026-11-16 to 2026-11-21. Today is not over")
        assert re.search(r'aria-current="true">7 days<', week)
        assert 'href="/admin?from=2026-10-31&amp;to=2026-11-29"' in week
        over = await shown(http, "/admin?from=2026-11-22&to=2026-11-28")
        assert number(over, "sign_ups-before") == "+100 %, 1 before"
        today = await shown(http, "/admin?from=2026-11-29&to=2026-11-29")
        assert "nothing to compare yet" in today
        assert "sign_ups-before" not in today


async def test_statistics_of_a_year_are_a_small_page(
    service: Service, admin: httpx.AsyncClient
) -> None:
    """The table and the chart have 366 days; the chart has no tooltips then."""
    await service.sign_in()
    days = {"from": "2025-11-01", "to": "2026-11-01"}
    page = await admin.get("/admin", params=days)
    script = await admin.get(found(r'src="(/static/[^"]+)"', page.text))
    assert {response.status_code for response in (page, script)} == {200}
    assert len(page.content) + len(script.content) < SMALL
    assert len(list(chart_on(page.text).iter("title"))) == 1


async def test_search_finds_users_as_the_api_does(
    service: Service, admin: httpx.AsyncClient
) -> None:
    """By phone, name or invite code. The field keeps the search, and marks show the state."""
    anna, boris = await service.sign_in(), await service.sign_in()
    ok(await anna.call("PATCH", "/profile", json={"name": "Anna <b>"}))
    await users.set_fields(UUID(boris.id()), is_blocked=True)
    everybody = await shown(admin, "/admin/users")
    assert links(everybody)[:2] == [boris.id(), anna.id()]
    assert everybody.count("blocked</span>") == 1
    assert everybody.count("administrator</span>") == 1
    for text in ("anna <", anna.phone, await anna.invite_code()):
        response = await admin.get("/admin/users", params={"search": text})
        assert links(response.text) == [anna.id()]
        assert "Anna &lt;b&gt;" in response.text
    assert 'value="anna &lt;"' in (await admin.get("/admin/users?search=anna <")).text
    assert "Nobody found" in await shown(admin, "/admin/users?search=zoe")
    response = await admin.get("/admin/users", params={"search": "x" * 255})
    assert response.headers["location"] == "/admin/users"
    refused_page = await shown(admin, "/admin/users")
    assert 'id="search-error"' in refused_page
    assert f'value="{"x" * 255}"' in refused_page
    # A pasted text is not cut before the search
    assert "maxlength" not in found('(<input id="search"[^>]*>)', refused_page)


async def test_users_are_paginated(service: Service, admin: httpx.AsyncClient) -> None:
    """Each user is on one page; the links keep the search and lead back to the newest."""
    people = [(await service.sign_in()).id() for _ in range(51)]
    first = await shown(admin, "/admin/users?search=%2B7999")
    assert links(first) == people[:0:-1]
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    assert older.startswith("/admin/users?search=%2B7999&amp;cursor=")
    second = await shown(admin, older.replace("&amp;", "&"))
    assert links(second)[0] == people[0]
    assert 'rel="next"' not in second
    assert 'href="/admin/users?search=%2B7999">First page' in second
    assert "link or form does not work" in await shown(admin, "/admin/users?cursor=x", 400)


async def test_page_of_a_user(service: Service, admin: httpx.AsyncClient) -> None:
    """It links to the inviter and shows the newest entries of the audit trail."""
    anna = await service.sign_in()
    boris = await service.sign_in(invite_code=await anna.invite_code())
    ok(await boris.call("PUT", "/profile", json={"name": "Boris", "email": "b@example.com"}))
    page = await shown(admin, f"/admin/users/{boris.id()}")
    for text in ("Boris", "b@example.com", await boris.invite_code(), boris.id()):
        assert text in page
    assert anna.id() in page.partition('id="inviter"')[2].partition("</dd>")[0]
    assert "activated an invite code" in page
    assert "<time datetime=" in page
    ok(await anna.call("DELETE", "/profile"))
    assert "a deleted user" in await shown(admin, f"/admin/users/{boris.id()}")
    for nobody in (anna.id(), str(uuid4()), "x"):
        assert "There is no such page." in await shown(admin, f"/admin/users/{nobody}", 404)


async def test_block_and_unblock(service: Service, admin: httpx.AsyncClient) -> None:
    person = await service.sign_in()
    path = f"/admin/users/{person.id()}"
    assert "signed out everywhere" in await sent(admin, f"{path}/block")
    refused(await person.call("GET", "/profile"), 401, "unauthorized")
    assert 'id="unblock"' in await shown(admin, path)
    assert "is unblocked" in await sent(admin, f"{path}/unblock")
    await service.sign_in_again(person)


async def test_grant_and_revoke_administrator(service: Service, admin: httpx.AsyncClient) -> None:
    person = await service.sign_in()
    path = f"/admin/users/{person.id()}"
    assert "is now an administrator" in await sent(admin, f"{path}/make-admin")
    ok(await person.call("GET", "/users"))
    assert "no longer an administrator" in await sent(admin, f"{path}/take-admin")
    refused(await person.call("GET", "/users"), 403, "forbidden")


async def test_delete_user_and_void_activation(service: Service, admin: httpx.AsyncClient) -> None:
    """Both forms are hidden until opened, and the audit trail has an entry for each."""
    anna = await service.sign_in()
    boris = await service.sign_in(invite_code=await anna.invite_code())
    path = f"/admin/users/{boris.id()}"
    page = await shown(admin, path)
    for action in ("void", "delete"):
        form = page.partition(f'action="{path}/{action}"')[0]
        assert form.count("<details") > form.count("</details")
    assert "The activation is voided" in await sent(admin, f"{path}/void")
    assert (await boris.profile())["activated_invite_code"] is None
    assert "has not used an invite code" in await sent(admin, f"{path}/void")
    assert "The user is deleted" in await sent(admin, f"{path}/delete")
    refused(await boris.call("GET", "/profile"), 401, "unauthorized")
    trail = await shown(admin, f"/admin/audit?user={boris.id()}")
    for words in ("signed up", "activation voided", "account deleted", "Only what was done to"):
        assert words in trail
    assert "There is no such page." in await shown(admin, path, 404)
    assert (await admin.post(f"{path}/bless")).status_code == 404


@pytest.mark.parametrize("action", ["block", "take-admin", "delete"])
async def test_last_administrator_stays(service: Service, action: str) -> None:
    """The reason is shown beside the button."""
    person = await service.sign_in_admin()
    async with signed_in_http(service, person) as http:
        page = await sent(http, f"/admin/users/{person.id()}/{action}")
        said = page.partition(f'id="{action}-error"')[2].partition("</p>")[0]
        assert "the last administrator" in said
        assert f'aria-describedby="{action}-error"' in page
        assert (await http.get("/admin")).status_code == 200


async def test_test_phone_cannot_be_administrator(database_url: str) -> None:
    phone = new_phone()
    test_phone: dict[str, Any] = {"REFERRAL_TEST_PHONES": f"{phone}=12345678@2026-01-31"}
    async with running(database_url, **test_phone) as service:
        person = await service.sign_in_admin()
        user = await service.sign_in()
        await users.set_fields(UUID(user.id()), phone=phone)
        async with signed_in_http(service, person) as http:
            page = await sent(http, f"/admin/users/{user.id()}/make-admin")
        assert 'id="make-admin-error"' in page


async def test_api_key_is_shown_once(service: Service, admin: httpx.AsyncClient) -> None:
    """It is in no URL and not shown again. The audit trail names its author."""
    response = await admin.post("/admin/keys", data={"name": "crm & co"})
    assert (response.status_code, response.headers["location"]) == (303, "/admin/keys")
    assert "HttpOnly" in response.headers["set-cookie"]
    page = await shown(admin, "/admin/keys")
    key = number(page, "new-key")
    assert "The key <bdi>crm &amp; co</bdi> is made" in page
    program = Person(service.http, "", {"access_token": key}, is_new=False)
    ok(await program.call("GET", "/users"))
    again = await admin.get("/admin/keys")
    assert key not in again.text
    assert "crm &amp; co" in again.text
    assert "new-key" not in again.text
    made = ok(await program.call("GET", "/audit"))["items"][0]
    assert (made["action"], made["actor"].partition(":")[0]) == ("api_key_made", "user")
    [path] = re.findall(r'action="(/admin/keys/[^"]+/revoke)"', again.text)
    assert "The key is revoked" in await sent(admin, path)
    refused(await program.call("GET", "/users"), 401, "unauthorized")
    assert "There are none." in await shown(admin, "/admin/keys")
    await sent(admin, path)


async def test_api_key_for_events(service: Service, admin: httpx.AsyncClient) -> None:
    """The checkbox makes one, the list names it, and a refused form keeps the check."""
    refused_page = await sent(admin, "/admin/keys", name="", events="yes")
    assert 'value="yes" checked>' in refused_page
    page = await sent(admin, "/admin/keys", name="shop", events="yes")
    key = number(page, "new-key")
    response = await service.get("/api/v1/users", authorization=f"Bearer {key}")
    refused(response, 403, "forbidden")
    await sent(admin, "/admin/keys", name="ops")
    page = await shown(admin, "/admin/keys")
    assert page.count("only events and redemptions</span>") == 1
    assert "checked" not in page


@pytest.mark.parametrize("name", ["a/b", "..", "100%", "%2F", "?#", "ключ", "/", "a//b"])
async def test_api_key_of_any_name_can_be_revoked(admin: httpx.AsyncClient, name: str) -> None:
    page = await sent(admin, "/admin/keys", name=name)
    [path] = re.findall(r'action="(/admin/keys/[^"]+/revoke)"', page)
    assert "There are none." in await sent(admin, path)


async def test_revoking_a_key_with_a_null_character_is_refused(admin: httpx.AsyncClient) -> None:
    """PostgreSQL cannot store the character."""
    response = await admin.post("/admin/keys/%2500/revoke", data={})
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("name", ["", "x" * 101, "taken"])
async def test_invalid_key_name_is_refused_beside_its_field(
    admin: httpx.AsyncClient, name: str
) -> None:
    await sent(admin, "/admin/keys", name="taken")
    page = await sent(admin, "/admin/keys", name=name)
    assert 'id="name-error"' in page
    assert f'value="{name}"' in page
    assert page.count("/revoke") == 1


async def test_audit_trail(service: Service, admin: httpx.AsyncClient) -> None:
    """Entries are newest first; they link users and name API keys and commands."""
    person = await service.sign_in()
    key = await service.api_key()
    ok(await key.call("PATCH", f"/users/{person.id()}", json={"is_blocked": True}))
    page = await shown(admin, "/admin/audit")
    marks = [
        page.index(f"<b>{words}</b>") for words in ("user blocked", "API key made", "signed up")
    ]
    assert marks == sorted(marks)
    assert "by the API key <bdi>tests" in page
    assert "by a command" in page
    assert person.id() in links(page)
    assert "127.0.0.1" in page


async def test_audit_trail_is_paginated(service: Service, admin: httpx.AsyncClient) -> None:
    person = await service.sign_in()
    for _ in range(26):
        for action in ("block", "unblock"):
            await admin.post(f"/admin/users/{person.id()}/{action}")
    first = await shown(admin, f"/admin/audit?user={person.id()}")
    assert first.count("blocked</b>") == 50
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = await shown(admin, older.replace("&amp;", "&"))
    assert second.count("blocked</b>") == 2
    assert "signed up" in second
    of_user = await shown(admin, f"/admin/users/{person.id()}")
    assert of_user.count("blocked</b>") == 10
    assert f'href="/admin/audit?user={person.id()}">All entries' in of_user


async def test_webhooks_page(admin: httpx.AsyncClient) -> None:
    page = await shown(admin, "/admin/webhooks")
    assert "REFERRAL_WEBHOOK_URL" in page
    assert number(page, "waiting") == "0"


async def grown(inviter: UUID, count: int, *, code: int = 0) -> list[UUID]:
    """Insert invitees one second apart; return their ids, oldest first."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [uuid4() for _ in range(count)]
    moments = [start + timedelta(seconds=n) for n in range(count)]
    sql = """
        INSERT INTO users (id, phone, invite_code, inviter_id, activated_at, inviter_sees_phone,
            invitee_count, is_admin, is_blocked, created_at, last_sign_in_at)
        VALUES ($1, $2, $3, $4, $5, TRUE, 0, FALSE, FALSE, $5, $5)
    """
    if not database.is_postgres():
        # SQLite's driver takes each value once, in order
        sql = sql.replace("$5, $5)", "$6, $7)")
    extra = 1 if database.is_postgres() else 3
    rows = [
        [
            user_id if database.is_postgres() else str(user_id),
            f"+1290{code + n:07}",
            f"{code + n:06}",
            inviter if database.is_postgres() else str(inviter),
            *[at if database.is_postgres() else str(at)] * extra,
        ]
        for n, (user_id, at) in enumerate(zip(ids, moments, strict=True))
    ]

    # In batches, each within the statement timeout
    for first in range(0, count, 5000):
        await database.transaction(partial(database.query_many, sql, rows[first : first + 5000]))
    await users.set_fields(inviter, invitee_count=count)
    return ids


async def test_tree_has_three_levels(service: Service, admin: httpx.AsyncClient) -> None:
    """Each level is inside the one above, newest first and without deleted users."""
    anna = await service.sign_in()
    boris = await service.sign_in(invite_code=await anna.invite_code())
    vera = await service.sign_in(invite_code=await boris.invite_code())
    gleb = await service.sign_in(invite_code=await vera.invite_code())
    dasha = await service.sign_in(invite_code=await gleb.invite_code())
    zoe = await service.sign_in(invite_code=await anna.invite_code())
    gone = await service.sign_in(invite_code=await boris.invite_code())
    ok(await gone.call("DELETE", "/profile"))
    page = (await shown(admin, f"/admin/users/{anna.id()}")).partition('class="tree"')[2]
    page = page.partition("<h2>")[0]
    assert links(page) == [person.id() for person in (zoe, boris, vera, gleb)]
    assert page.count("<details>") == 2
    # Gleb's invitees are on Gleb's own page
    assert f'href="/admin/users/{gleb.id()}#invited">invited 1<' in page
    assert dasha.id() not in page


async def test_tree_level_is_limited_and_shared_evenly(service: Service) -> None:
    """At most 20 invitees per user and 60 per level, so 3 for each of 20 inviters."""
    top = UUID((await service.sign_in()).id())
    for n, child in enumerate(await grown(top, 25)):
        await grown(child, 30, code=1000 * (n + 1))
    tree = await trees.page(top, cursor=None)
    assert [len(member.invitees) for member in tree.items] == [3] * 20
    assert [member.more for member in tree.items] == [27] * 20
    rest = await trees.page(top, cursor=tree.next_cursor)
    assert [len(member.invitees) for member in rest.items] == [12] * 5
    assert rest.next_cursor is None
    assert not {member.id for member in tree.items} & {member.id for member in rest.items}


async def test_tree_with_100_000_invitees(service: Service, admin: httpx.AsyncClient) -> None:
    """The newest of 100,020 invitees are read from the index."""
    top = await service.sign_in()
    star = await service.sign_in(invite_code=await top.invite_code())
    fans = await grown(UUID(star.id()), 100_020)
    if database.is_postgres():
        # As autovacuum does within a minute; until then the planner assumes a small table
        await database.query("ANALYZE users")
    times = []
    for _ in range(5):
        begun = perf_counter()
        found = await invitations.newest([UUID(star.id())], limit=20)
        times.append(perf_counter() - begun)
    assert [row["id"] for row in found] == fans[:-21:-1]
    # Sorting all of them takes ten times as long
    assert min(times) < 0.02
    page = await shown(admin, f"/admin/users/{top.id()}")
    assert "100 000 more" in page
    assert len(page) < SMALL
    own = await shown(admin, f"/admin/users/{star.id()}")
    [older] = re.findall(r'rel="next" href="([^"]+)"', own)
    assert str(fans[-21]) in links(await shown(admin, older))


async def test_pages_in_russian(service: Service, admin: httpx.AsyncClient) -> None:
    person = await service.sign_in()
    for path in (*PAGES, f"/admin/users/{person.id()}"):
        response = await admin.get(path, headers={"Accept-Language": "ru"})
        assert response.status_code == 200


async def test_key_and_grant_need_reauthentication(service: Service) -> None:
    """Somebody who finds the browser unlocked must not gain lasting access.

    After reauthentication the typed name is still there, and the action is opened.
    """
    person = await service.sign_in_admin()
    other = await service.sign_in()
    async with browsing(service, person.phone) as browser:
        service.clock.move(seconds=3)
        assert await browser.sign_in() == "/me"
        service.clock.move(minutes=16)
        name = 100 * "\u043a"
        first = await browser.submit("/admin/keys", name=name)
        assert first.startswith("/again?next=/admin/keys%3Fdraft%3D")
        page = f"/admin/users/{other.id()}"
        second = await browser.submit(f"{page}/make-admin")
        assert second.startswith(f"/again?next={page}%3Fdraft%3D")
        assert name not in await browser.see("/admin/keys")

        keys = await browser.see(await reauthenticate(browser, first))
        assert notice_on(keys).startswith("Nothing is changed yet.")
        assert value_of(keys, "name") == name
        assert "There are none." in keys
        user = await browser.see(
            second.removeprefix("/again?next=").replace("%3F", "?").replace("%3D", "=")
        )
        assert re.search(r'<details class="ask" open><summary>Make an administrator<', user)
        assert "-error" not in user
        assert 'id="take-admin"' in await browser.submit_and_see(f"{page}/make-admin")


async def test_actions_on_users_need_reauthentication(service: Service) -> None:
    person, other = await service.sign_in_admin(), await service.sign_in()
    async with browsing(service, person.phone) as browser:
        service.clock.move(seconds=3)
        assert await browser.sign_in() == "/me"
        service.clock.move(minutes=16)
        page = f"/admin/users/{other.id()}"
        for action in ("block", "unblock", "make-admin", "take-admin", "void", "delete"):
            where = await browser.submit(f"{page}/{action}")
            assert where.startswith(f"/again?next={page}%3Fdraft%3D")
    ok(await other.refresh())


async def test_irreversible_actions_ask_for_confirmation(
    service: Service, admin: httpx.AsyncClient
) -> None:
    """Each action on a user or a key asks, and names the user or the key."""
    person = await service.sign_in(invite_code=await (await service.sign_in()).invite_code())
    await sent(admin, "/admin/keys", name="crm")
    page = await shown(admin, f"/admin/users/{person.id()}") + await shown(admin, "/admin/keys")
    asking = re.findall(r'<details class="ask">.*?action="([^"]+)".*?</details>', page)
    every = set(re.findall(r'action="(/admin/(?:users|keys)/[^"]+)"', page))
    assert every == set(asking)
    assert {path.rpartition("/")[2] for path in asking} == {
        *("block", "make-admin", "void", "delete", "revoke"),
    }


async def test_search_is_kept_through_the_sign_in(service: Service) -> None:
    async with browsing(service) as browser:
        response = await browser.get("/admin/users?search=%2B7999")
        where = response.headers["location"]
        assert where == "/?next=/admin/users%3Fsearch%3D%252B7999"
        assert 'name="next" value="/admin/users?search=%2B7999"' in await browser.see(where)
