"""What keeps the pages to the people they are for: origins, cookies, policies."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie

import httpx
import pytest
from playwright.async_api import Browser, expect

from browser import BrowserSession, new_session
from referral.http.pages import router
from sites import another_origin, plain, reachable
from support import Inbox, Service, new_phone, ok, refused, running
from walks import ask_for_code, enter, shown_code, sign_in

# Nothing here depends on what the database is
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

LOCAL = "http://127.0.0.1:8000"
PUBLIC = "https://app.example.com"
PRODUCTION = {
    "REFERRAL_ENV": "production",
    "REFERRAL_PUBLIC_URL": PUBLIC,
    "REFERRAL_TRUSTED_PROXIES": "0",
    "REFERRAL_SMS_URL": f"hook+https://team.example.com/sms?secret=whsec_{32 * 'A'}",
}
POSTS = sorted(
    re.sub(r"\{\w+(:\w+)?\}", "x", route.path)
    for route in router.routes
    if "POST" in getattr(route, "methods", ())
)
GETS = sorted(
    re.sub(r"\{\w+(:\w+)?\}", "x", route.path)
    for route in router.routes
    if "GET" in getattr(route, "methods", ())
)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with plain(LOCAL, service) as http:
        yield http


async def enter_plainly(http: httpx.AsyncClient, inbox: Inbox) -> list[httpx.Response]:
    """Sign in; every answer on the way."""
    asked = await http.post("/", data={"phone": new_phone()})
    code = inbox.messages[-1].code
    assert code is not None
    signed_in = await http.post("/code", data={"code": code})
    return [*asked.history, asked, *signed_in.history, signed_in]


def cookies_of(answers: list[httpx.Response]) -> list[Morsel[str]]:
    """All that were set, those of refusals and those that end one too."""
    found: list[Morsel[str]] = []
    for answer in answers:
        for header in answer.headers.get_list("set-cookie"):
            found += SimpleCookie(header).values()
    return found


def kinds_of(cookies: list[Morsel[str]]) -> set[str]:
    """Their names, without what tells tabs apart."""
    return {re.sub("-[0-9a-f]{8}$", "", cookie.key) for cookie in cookies}


class TestForeignForms:
    """A form of another site is refused, before anything is looked at (CSRF)."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:8001"},
            {"Sec-Fetch-Site": "cross-site", "Origin": LOCAL},
            {"Sec-Fetch-Site": "same-site", "Origin": LOCAL},
            {"Sec-Fetch-Site": "none", "Origin": LOCAL},
            {"Referer": f"{LOCAL}/"},
            {},
        ],
        ids=str,
    )
    async def test_at_every_form(
        self, client: httpx.AsyncClient, service: Service, headers: dict[str, str]
    ) -> None:
        """Signed in or not: with the browser's words for it, or without any."""
        del client.headers["Origin"]
        for path in POSTS:
            answer = await client.post(path, data={"phone": new_phone()}, headers=headers)
            assert answer.status_code == 403, path
            assert answer.headers["content-type"].startswith("text/html")
            assert "did not come from this site" in answer.text
            assert not answer.history
            assert "set-cookie" not in answer.headers
        assert service.inbox.messages == []

    async def test_from_this_site_they_are_taken(self, client: httpx.AsyncClient) -> None:
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": LOCAL}):
            del client.headers["Origin"]
            answer = await client.post("/", data={"phone": new_phone()}, headers=headers)
            client.headers["Origin"] = LOCAL
            assert answer.url.path == "/code"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_in_a_browser(self, chromium: Browser, database_url: str, host: str) -> None:
        """That of a neighbour on this host's other port, and that of another host."""
        async with reachable(database_url) as (service, site):
            html = (
                f'<!doctype html><title>Evil</title><form method="post" action="{site}/sign-out">'
            )
            async with (
                another_origin(html + "<button>Win a prize</button></form>") as port,
                new_session(chromium, site, expected=[403]) as session,
            ):
                await sign_in(session)
                session.complaints.clear()
                await session.go(f"http://{host}:{port}/")
                await session.submit("button")
                assert session.page.url == f"{site}/sign-out"
                assert "did not come from this site" in await session.text()
                await session.go("/")
                assert session.path() == "/me"
                session.complaints = [
                    each for each in session.complaints if "another origin" not in each
                ]
            assert len(service.inbox.messages) == 1


class TestCookies:
    async def test_of_development(self, service: Service, client: httpx.AsyncClient) -> None:
        """Over http too, so without Secure and the prefix that asks for it."""
        set_there = cookies_of(await enter_plainly(client, service.inbox))
        assert {"access", "refresh", "device", "sign_in"} <= kinds_of(set_there)
        for cookie in set_there:
            assert cookie["httponly"], cookie.key
            assert (cookie["samesite"], cookie["path"]) == ("lax", "/"), cookie.key
            assert not cookie["domain"], cookie.key
            assert not cookie["secure"], cookie.key

    async def test_of_production(self, database_url: str) -> None:
        inbox = Inbox(echoes_code=False)
        async with (
            running(database_url, inbox=inbox, **PRODUCTION) as service,
            plain(PUBLIC, service) as http,
        ):
            answers = await enter_plainly(http, inbox)
            refusals = await http.post("/", data={"phone": "12"})
            language = await http.post("/language", data={"language": "ru", "next": "/"})
            out = await http.post("/sign-out")
            lost = await http.post("/me", data={"name": "Anna"})
            answers += [*refusals.history, *language.history, *out.history, *lost.history]
        set_there = cookies_of(answers)
        names = {"access", "refresh", "device", "sign_in", "flash", "language", "draft"}
        assert kinds_of(set_there) == {f"__Host-{name}" for name in names}
        for cookie in set_there:
            assert cookie["httponly"], cookie.key
            assert cookie["secure"], cookie.key
            assert (cookie["samesite"], cookie["path"]) == ("lax", "/"), cookie.key
            assert not cookie["domain"], cookie.key

    async def test_the_code_is_shown_nowhere_once_it_is_really_sent(
        self, database_url: str
    ) -> None:
        inbox = Inbox(echoes_code=False)
        async with (
            running(database_url, inbox=inbox, **PRODUCTION) as service,
            plain(PUBLIC, service) as http,
        ):
            asked = await http.post("/", data={"phone": new_phone()})
        assert "simulated-code" not in asked.text
        for cookie in cookies_of(asked.history):
            assert 'code":' not in cookie.value

    async def test_the_api_does_not_read_them(
        self, service: Service, client: httpx.AsyncClient
    ) -> None:
        await enter_plainly(client, service.inbox)
        assert (await client.get("/me")).url.path == "/me"
        for method, path in (("GET", "/profile"), ("DELETE", "/sessions"), ("DELETE", "/profile")):
            refused(await client.request(method, f"/api/v1{path}"), 401, "unauthorized")
        assert (await client.get("/me")).url.path == "/me"

    async def test_that_somebody_made_up_are_like_none(self, client: httpx.AsyncClient) -> None:
        for name in ("access", "refresh", "device", "sign_in-00000000", "flash", "language"):
            for value in ("x", "e30", "bnVsbA", "%00", "a" * 3000):
                headers = {"Cookie": f"{name}={value}"}
                for path in ("/", "/code", "/me", "/again"):
                    answer = await client.get(path, headers=headers)
                    assert answer.status_code == 200, (name, value, path)
                    assert answer.url.path == "/"

    async def test_after_signing_out_those_of_before_are_worth_nothing(
        self, service: Service, client: httpx.AsyncClient
    ) -> None:
        await enter_plainly(client, service.inbox)
        kept = dict(client.cookies)
        assert (await client.post("/sign-out")).url.path == "/"
        async with plain(LOCAL, service) as thief:
            thief.cookies.update(kept)
            assert (await thief.get("/me")).url.path == "/"


@pytest.mark.parametrize("path", [path for path in GETS if not path.startswith("/static")])
async def test_every_page_has_its_policy(client: httpx.AsyncClient, path: str) -> None:
    """Whatever it answers: no inline script, nobody else's, in nobody's frame, kept by nobody."""
    answer = await client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    if not answer.headers["content-type"].startswith("text/html"):
        return
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in answer.headers["content-security-policy"].split(";")
    )
    style = policy.pop("style-src")
    assert "unsafe" not in style
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["referrer-policy"] == "same-origin"
    assert not re.search(r"<script(?! src=)|\son\w+=|javascript:| style=", answer.text)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
    ],
)
class TestNextLeadsNowhereElse:
    async def test_after_signing_in(
        self, service: Service, client: httpx.AsyncClient, elsewhere: str
    ) -> None:
        asked = await client.post("/", data={"phone": new_phone(), "next": elsewhere})
        assert asked.url.path == "/code"
        code = service.inbox.messages[-1].code
        answer = await client.post("/code", data={"code": code or ""}, follow_redirects=False)
        assert answer.headers["location"] == "/me"

    async def test_after_a_choice_of_the_language(
        self, client: httpx.AsyncClient, elsewhere: str
    ) -> None:
        answer = await client.post(
            "/language", data={"language": "ru", "next": elsewhere}, follow_redirects=False
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/")

    async def test_of_somebody_who_is_signed_in(
        self, service: Service, client: httpx.AsyncClient, elsewhere: str
    ) -> None:
        await enter_plainly(client, service.inbox)
        answer = await client.get("/", params={"next": elsewhere}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/me")


async def test_what_is_typed_is_shown_and_never_run(chromium: Browser, database_url: str) -> None:
    """In every place where somebody's words come back (XSS)."""
    evil = "\"><script>document.title='evil'</script><img src=x onerror=alert(1)>"
    async with reachable(database_url) as (service, site), new_session(chromium, site) as session:
        person = await service.sign_in()
        ok(await person.call("PATCH", "/profile", json={"name": evil}))
        await session.go(f"/i/{await person.invite_code()}")
        assert "<script>" not in await session.page.locator("h1").inner_html()
        await ask_for_code(session, evil[:60])
        assert await session.page.input_value("input[name=phone]") == evil[:60]
        await ask_for_code(session, new_phone())
        await enter(session, await shown_code(session))
        assert await session.page.title() != "evil"


async def test_a_phone_is_spelt_while_it_is_typed_and_never_in_a_path(
    chromium: Browser, database_url: str
) -> None:
    """Proxies write paths with their queries into their logs."""
    async with reachable(database_url) as (_, site), new_session(chromium, site) as session:
        asked: list[str] = []
        session.page.on("request", lambda request: asked.append(request.url))
        await session.go("/")
        await session.page.fill("input[name=phone]", "+79991234567")
        await expect(session.page.locator("#as-typed")).to_contain_text("+7 999 123-45-67")
        assert f"{site}/phone-form" in asked
        assert not [url for url in asked if "9991234567" in url]


async def test_nobody_frames_a_page(chromium: Browser, database_url: str) -> None:
    """A page of another origin that tries gets an empty frame (clickjacking)."""
    async with reachable(database_url) as (_, site):
        html = f'<!doctype html><title>Evil</title><iframe src="{site}/"></iframe>'
        async with another_origin(html) as port, new_session(chromium, site) as session:
            await session.go(f"http://127.0.0.1:{port}/")
            assert refused_by_policy(session)


def refused_by_policy(session: BrowserSession) -> bool:
    """Whether the browser said so, and only that."""
    said = [each for each in session.complaints if "frame-ancestors" in each]
    session.complaints.clear()
    return bool(said)
