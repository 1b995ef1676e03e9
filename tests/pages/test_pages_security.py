"""Security of the pages: foreign forms, cookies, CSP, redirects and injection."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http.cookies import Morsel, SimpleCookie

import httpx
import pytest
from playwright.async_api import Browser

from browser import BrowserSession, new_session
from referral.http.pages import router
from sites import another_origin, plain, reachable
from support import Inbox, Service, new_phone, ok, refused, running
from walks import ask_for_code, enter, shown_code, sign_in

# Nothing here depends on the kind of database
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
    re.sub(r"\{\w+(:\w+)?\}", "1", route.path)
    for route in router.routes
    if "POST" in getattr(route, "methods", ())
)
GETS = sorted(
    re.sub(r"\{\w+(:\w+)?\}", "1", route.path)
    for route in router.routes
    if "GET" in getattr(route, "methods", ())
)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with plain(LOCAL, service) as http:
        yield http


async def enter_plainly(http: httpx.AsyncClient, inbox: Inbox) -> list[httpx.Response]:
    """Sign in, and return every response on the way."""
    asked = await http.post("/", data={"phone": new_phone()})
    code = inbox.messages[-1].code
    assert code is not None
    signed_in = await http.post("/code", data={"code": code})
    return [*asked.history, asked, *signed_in.history, signed_in]


def cookies_of(responses: list[httpx.Response]) -> list[Morsel[str]]:
    """Return all cookies that the responses set or cleared."""
    found: list[Morsel[str]] = []
    for response in responses:
        for header in response.headers.get_list("set-cookie"):
            found += SimpleCookie(header).values()
    return found


def kinds_of(cookies: list[Morsel[str]]) -> set[str]:
    """Return the names of cookies without the keys of tabs."""
    return {re.sub("-[0-9a-f]{8}$", "", cookie.key) for cookie in cookies}


class TestForeignForms:
    """A form of another site is refused before anything else is checked (CSRF)."""

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
    async def test_is_refused_at_every_route(
        self, client: httpx.AsyncClient, service: Service, headers: dict[str, str]
    ) -> None:
        del client.headers["Origin"]
        for path in POSTS:
            response = await client.post(path, data={"phone": new_phone()}, headers=headers)
            assert response.status_code == 403, path
            assert response.headers["content-type"].startswith("text/html")
            assert "did not come from this site" in response.text
            assert not response.history
            assert "set-cookie" not in response.headers
        assert service.inbox.messages == []

    async def test_own_form_is_accepted(self, client: httpx.AsyncClient) -> None:
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": LOCAL}):
            del client.headers["Origin"]
            response = await client.post("/", data={"phone": new_phone()}, headers=headers)
            client.headers["Origin"] = LOCAL
            assert response.url.path == "/code"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    async def test_is_refused_in_a_browser(
        self, chromium: Browser, database_url: str, host: str
    ) -> None:
        """From another port of the same host, and from another host."""
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
    async def test_attributes_in_development(
        self, service: Service, client: httpx.AsyncClient
    ) -> None:
        """They work over plain http, so without Secure and the prefix that requires it."""
        set_there = cookies_of(await enter_plainly(client, service.inbox))
        assert {"access", "refresh", "device", "sign_in"} <= kinds_of(set_there)
        for cookie in set_there:
            assert cookie["httponly"], cookie.key
            assert (cookie["samesite"], cookie["path"]) == ("lax", "/"), cookie.key
            assert not cookie["domain"], cookie.key
            assert not cookie["secure"], cookie.key

    async def test_attributes_in_production(self, database_url: str) -> None:
        inbox = Inbox(echoes_code=False)
        async with (
            running(database_url, inbox=inbox, **PRODUCTION) as service,
            plain(PUBLIC, service) as http,
        ):
            responses = await enter_plainly(http, inbox)
            refusals = await http.post("/", data={"phone": "12"})
            language = await http.post("/language", data={"language": "ru", "next": "/"})
            out = await http.post("/sign-out")
            lost = await http.post("/me/account", data={"name": "Anna"})
            responses += [*refusals.history, *language.history, *out.history, *lost.history]
        set_there = cookies_of(responses)
        names = {"access", "refresh", "device", "sign_in", "flash", "language", "draft"}
        assert kinds_of(set_there) == {f"__Host-{name}" for name in names}
        for cookie in set_there:
            assert cookie["httponly"], cookie.key
            assert cookie["secure"], cookie.key
            assert (cookie["samesite"], cookie["path"]) == ("lax", "/"), cookie.key
            assert not cookie["domain"], cookie.key

    async def test_real_code_is_in_no_page_or_cookie(self, database_url: str) -> None:
        inbox = Inbox(echoes_code=False)
        async with (
            running(database_url, inbox=inbox, **PRODUCTION) as service,
            plain(PUBLIC, service) as http,
        ):
            asked = await http.post("/", data={"phone": new_phone()})
        assert "simulated-code" not in asked.text
        for cookie in cookies_of(asked.history):
            assert 'code":' not in cookie.value

    async def test_api_ignores_them(self, service: Service, client: httpx.AsyncClient) -> None:
        await enter_plainly(client, service.inbox)
        assert (await client.get("/me")).url.path == "/me"
        for method, path in (("GET", "/profile"), ("DELETE", "/sessions"), ("DELETE", "/profile")):
            refused(await client.request(method, f"/api/v1{path}"), 401, "unauthorized")
        assert (await client.get("/me")).url.path == "/me"

    async def test_forged_cookies_are_ignored(self, client: httpx.AsyncClient) -> None:
        for name in ("access", "refresh", "device", "sign_in-00000000", "flash", "language"):
            for value in ("x", "e30", "bnVsbA", "%00", "a" * 3000):
                headers = {"Cookie": f"{name}={value}"}
                for path in ("/", "/code", "/me", "/again"):
                    response = await client.get(path, headers=headers)
                    assert response.status_code == 200, (name, value, path)
                    assert response.url.path == "/"

    async def test_old_cookies_are_worthless_after_sign_out(
        self, service: Service, client: httpx.AsyncClient
    ) -> None:
        await enter_plainly(client, service.inbox)
        kept = dict(client.cookies)
        assert (await client.post("/sign-out")).url.path == "/"
        async with plain(LOCAL, service) as thief:
            thief.cookies.update(kept)
            assert (await thief.get("/me")).url.path == "/"


@pytest.mark.parametrize("path", [path for path in GETS if not path.startswith("/static")])
async def test_every_page_has_a_policy(client: httpx.AsyncClient, path: str) -> None:
    """No inline or foreign scripts, no framing, no caching, whatever the status."""
    response = await client.get(path)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    if not response.headers["content-type"].startswith("text/html"):
        return
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in response.headers["content-security-policy"].split(";")
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
    assert response.headers["referrer-policy"] == "same-origin"
    assert not re.search(r"<script(?! src=)|\son\w+=|javascript:| style=", response.text)


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
        response = await client.post("/code", data={"code": code or ""}, follow_redirects=False)
        assert response.headers["location"] == "/me"

    async def test_after_choosing_a_language(
        self, client: httpx.AsyncClient, elsewhere: str
    ) -> None:
        response = await client.post(
            "/language", data={"language": "ru", "next": elsewhere}, follow_redirects=False
        )
        assert (response.status_code, response.headers["location"]) == (303, "/")

    async def test_if_already_signed_in(
        self, service: Service, client: httpx.AsyncClient, elsewhere: str
    ) -> None:
        await enter_plainly(client, service.inbox)
        response = await client.get("/", params={"next": elsewhere}, follow_redirects=False)
        assert (response.status_code, response.headers["location"]) == (303, "/me")


async def test_typed_text_is_never_executed(chromium: Browser, database_url: str) -> None:
    """A name and the fields of forms are escaped (XSS)."""
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


async def test_pages_cannot_be_framed(chromium: Browser, database_url: str) -> None:
    """A frame on a page of another origin stays empty (clickjacking)."""
    async with reachable(database_url) as (_, site):
        html = f'<!doctype html><title>Evil</title><iframe src="{site}/"></iframe>'
        async with another_origin(html) as port, new_session(chromium, site) as session:
            await session.go(f"http://127.0.0.1:{port}/")
            assert refused_by_policy(session)


def refused_by_policy(session: BrowserSession) -> bool:
    """Return whether the browser complained about the framing, and clear the complaints."""
    said = [each for each in session.complaints if "frame-ancestors" in each]
    session.complaints.clear()
    return bool(said)
