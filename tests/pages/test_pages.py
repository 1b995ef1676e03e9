"""Behaviour that all pages share: forms, cookies, errors and messages."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode

import pytest
from litestar.routes import HTTPRoute

from pages import browsing, code_on, error_of, found, hidden_on
from referral import i18n
from referral.core.errors import Refusal
from referral.http import problems
from referral.http.pages import cookie_value, forms, router, texts
from referral.http.pages.flash import Flash
from referral.http.pages.pending_sign_in import PendingSignIn
from support import Service, new_phone, running

OWN = "http://127.0.0.1:8000"
EVIL = "https://evil.example"
LARGEST_COOKIE = 4096  # bytes


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": EVIL}, 303),
        ({"Origin": OWN}, 303),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 303),
        ({"Host": "proxied.example", "Origin": OWN}, 303),
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": OWN}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"Referer": f"{OWN}/"}, 403),
    ],
)
async def test_form_of_another_origin_is_refused(
    service: Service, headers: dict[str, str], status: int
) -> None:
    response = await service.http.post("/", data={"phone": new_phone()}, headers=headers)
    assert response.status_code == status
    assert bool(service.inbox.messages) == (status == 303)


async def test_page_has_a_strict_policy(service: Service) -> None:
    for path in ("/", "/i/AAAAAA", "/nowhere"):
        response = await service.http.get(path, headers={"Accept": "text/html"})
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "://" not in policy
        assert response.headers["cache-control"] == "no-store"
        assert " style=" not in response.text


async def test_error_is_a_page_for_browsers_only(service: Service) -> None:
    for path, accept, media_type in (
        ("/nowhere", "*/*", problems.MEDIA_TYPE),
        ("/nowhere", "text/html,*/*;q=0.8", "text/html"),
        ("/api/v1/nowhere", "text/html", problems.MEDIA_TYPE),
        ("/code/again", "text/html", "text/html"),
    ):
        response = await service.http.get(path, headers={"Accept": accept})
        assert response.status_code in {404, 405}
        assert response.headers["content-type"].startswith(media_type), (path, accept)


async def test_unreadable_form_is_refused_with_a_page(service: Service) -> None:
    """No message is sent."""
    url_encoded = "application/x-www-form-urlencoded"
    for content, media_type, status in (
        (b"phone=%ff", url_encoded, 400),
        (b"\xff=1", url_encoded, 400),
        (b"&".join(b"a=1" for _ in range(100)), url_encoded, 400),
        (b"phone=" + b"1" * 70_000, url_encoded, 413),
        (b'{"phone": "+79991234567"}', "application/json", 415),
        (b"phone=%2B79991234567", "text/plain", 415),
        (b"phone=%2B79991234567%00", url_encoded, 303),
    ):
        response = await service.http.post(
            "/", content=content, headers={"Origin": OWN, "Content-Type": media_type}
        )
        assert response.status_code == status, content[:20]
        assert response.is_redirect or response.headers["content-type"].startswith("text/html")
    assert not service.inbox.messages


async def test_cookie_attributes(database_url: str) -> None:
    """Cookies are HttpOnly and Lax; in production also Secure and bound to the host."""
    production = {
        "REFERRAL_ENV": "production",
        "REFERRAL_PUBLIC_URL": "https://app.example",
        "REFERRAL_TRUSTED_PROXIES": "0",
        "REFERRAL_SMS_URL": "simulated://",
    }
    settings: list[dict[str, str]] = [{}, production]
    for variables in settings:
        async with running(database_url, inbox=None, **variables) as service:
            response = await service.http.post(
                "/",
                data={"phone": new_phone()},
                headers={"Origin": variables.get("REFERRAL_PUBLIC_URL", OWN)},
            )
            (cookie,) = response.headers.get_list("set-cookie")
            attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"httponly", "samesite=lax", "path=/"} <= attributes
            assert not any(attribute.startswith("domain") for attribute in attributes)
            assert ("secure" in attributes) == bool(variables)
            assert cookie.startswith("__Host-") == bool(variables)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("/me", True),
        ("/me/invitees?cursor=abc", True),
        ("/", True),
        ("", False),
        (None, False),
        ("//evil.example", False),
        ("/\\evil.example", False),
        ("https://evil.example", False),
        ("/me\r\nSet-Cookie: a=b", False),
        ("/\tme", False),
        ("javascript:alert(1)", False),
        ("me", False),
        ("/é", False),
    ],
)
def test_local_path_accepts_only_this_site(text: str | None, good: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert forms.local_path(text) == (text if good else None)


def test_every_refusal_has_a_text() -> None:
    kinds = [Refusal]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {kind.code for kind in kinds if hasattr(kind, "code")}
    without = codes - texts.REFUSALS.keys()
    assert not without, f"add to REFUSALS in http/pages/texts.py: {without}"


def test_every_field_of_a_form_has_a_refusal() -> None:
    """Those of administrators name their refusals themselves."""
    forms_of_users: list[forms.Form] = [
        handler.opt["form"]
        for route in router.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/admin")
        for handler in route.route_handlers
        if "form" in handler.opt
    ]
    assert any("name" in form.fields for form in forms_of_users)
    without = {f"invalid_{field}" for form in forms_of_users for field in form.fields}
    without -= texts.REFUSALS.keys()
    assert not without, f"add to REFUSALS in http/pages/texts.py: {without}"


@pytest.mark.parametrize("tag", i18n.LANGUAGES)
def test_a_refusal_has_two_sentences_at_most(tag: str) -> None:
    """And only the welcome has an exclamation mark."""
    language = i18n.ours()[tag]
    for code in texts.REFUSALS:
        left = 2 if code == "wrong_code" else None
        said = texts.refusal(code, language=language, seconds=90, attempts_left=left)
        assert 1 <= len(re.findall(r"[.!?](?:\s|$)", said)) <= 2, said
        assert "!" not in said
    notices = [texts.notice(code, language=language) for code in texts.NOTICES if code != "welcome"]
    assert not [each for each in notices if "!" in each]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (30, "Too many wrong codes. Ask for a new one."),
        (61, "Too many wrong codes. Try again in 2 minutes."),
        (4000, "Too many wrong codes. Try again in 2 hours."),
    ],
)
def test_wrong_codes_ask_for_a_new_one_if_it_can_be_sent(seconds: int, said: str) -> None:
    found = texts.refusal(
        "too_many_attempts", language=i18n.ours()["en"], seconds=seconds, attempts_left=None
    )
    assert found == said


@pytest.mark.parametrize("phone", ["", "x", "+99912345678", 900 * "1"])
async def test_forged_cookie_breaks_no_page(service: Service, phone: str) -> None:
    """The cookie of a pending sign-in may have any text as its phone."""
    pending = PendingSignIn(
        token="t", phone=phone, code_length=4, expires_at=1, resend_at=1, tab="00000000"
    )
    headers = {"Cookie": f"sign_in-00000000={cookie_value.encode(pending)}", "Origin": OWN}
    for path in ("/code", "/code?tab=00000000"):
        response = await service.http.get(path, headers=headers)
        assert response.status_code == 200
    response = await service.http.post("/code/again", data={"x": ""}, headers=headers)
    assert (response.status_code, response.headers["location"]) == (303, "/code?tab=00000000")
    assert service.inbox.messages == []


@pytest.mark.parametrize("name", ["sign_in-00000000", "draft-00000000", "flash"])
async def test_deeply_nested_cookie_is_ignored(service: Service, name: str) -> None:
    deep = urlsafe_b64encode(b'{"x":' + 2200 * b"[").decode()
    response = await service.http.get("/code", headers={"Cookie": f"{name}={deep}"})
    assert (response.status_code, response.headers["location"]) == (303, "/?restarted=1")
    response = await service.http.get("/?draft=00000000", headers={"Cookie": f"{name}={deep}"})
    assert response.status_code == 200


async def test_unknown_notice_is_not_shown(service: Service) -> None:
    headers = {"Cookie": f"flash={cookie_value.encode(Flash(code='of_nobody', path='/'))}"}
    response = await service.http.get("/", headers=headers)
    assert 'role="status"' not in response.text
    assert "Content-Type" not in response.text


async def test_another_number_keeps_invitation_and_next(service: Service) -> None:
    inviter = await service.sign_in()
    invite_code = await inviter.invite_code()
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone, invite_code=invite_code)
        back = found(r'<a href="([^"]+)">Another number', page)
        assert re.fullmatch(rf"/i/{invite_code}\?tab=[0-9a-f]{{8}}", back)
        assert f'name="invite_code" value="{invite_code}"' in await browser.see(back)
        page = await browser.submit_and_see("/", phone=new_phone(), next="/me/sessions")
        back = found(r'<a href="([^"]+)">Another number', page)
        assert 'name="next" value="/me/sessions"' in await browser.see(back)


async def test_typed_text_fits_into_a_cookie(service: Service) -> None:
    """Browsers may drop a cookie of over 4096 bytes (RFC 6265, section 6.1)."""
    person = await service.sign_in()
    large = {f"{number}{2000 * 'f'}": 900 * "x" for number in range(9)}
    for path, fields in (
        ("/", {"phone": new_phone(), "invite_code": 9000 * "A"}),
        ("/", {"phone": 9000 * "x", "invite_code": 9000 * "A"}),
        ("/me/account", {"name": 900 * "\U0001f600", "email": 900 * "\x01", **large}),
    ):
        headers = {"Origin": OWN, "Cookie": f"access={person.tokens['access_token']}"}
        response = await service.http.post(path, data=fields, headers=headers)
        assert response.status_code == 303
        kept = response.headers.get_list("set-cookie")
        assert kept
        assert max(map(len, kept)) < LARGEST_COOKIE


async def test_each_tab_has_its_own_invitation(service: Service) -> None:
    """A code requested without an invitation activates none, even if another tab has one."""
    inviter = await service.sign_in()
    invite_code = await inviter.invite_code()
    async with browsing(service) as browser:
        without = await browser.submit_and_see("/", phone=browser.phone)
        await browser.submit("/", phone=new_phone(), invite_code=invite_code)
        assert await browser.enter_code(without, "/code") == "/me"
    assert (await inviter.profile())["invitee_count"] == 0


async def test_message_waits_for_its_page(service: Service) -> None:
    async with browsing(service) as browser:
        where = await browser.submit("/", phone="123")
        await browser.get("/i/ZZZZZZ")
        assert "not a phone number" in error_of(await browser.see(where), "phone")


async def test_browser_without_cookies_is_told(service: Service) -> None:
    response = await service.http.get("/code")
    page = await service.http.get(response.headers["location"])
    assert "does not allow cookies" in page.text


async def test_code_may_contain_spaces(service: Service) -> None:
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        code = code_on(page)
        spaced = f" {code[:2]} {code[2:]} "
        assert await browser.submit("/code", **hidden_on(page), code=spaced) == "/me"


async def test_static_file_of_another_version_is_404(service: Service) -> None:
    """During a deployment an old process may be asked for a file that only the new one has."""
    own = found(r'src="(/static/pages.js[^"]+)"', (await service.get("/")).text)
    assert "immutable" in (await service.get(own)).headers["cache-control"]
    for other in ("/static/pages.js", "/static/pages.js?v=00000000"):
        response = await service.get(other)
        assert (response.status_code, response.headers["cache-control"]) == (404, "no-store")


async def test_page_names_the_country_that_is_not_served(database_url: str) -> None:
    async with running(database_url, REFERRAL_COUNTRIES_ALLOWED="RU,KZ") as service:
        for languages, said in (("en-GB", "United Kingdom"), ("ru-RU", "Великобритания")):
            headers = {"Origin": OWN, "Accept-Language": languages}
            await service.http.post("/", data={"phone": "+44 7400 123456"}, headers=headers)
            page = (await service.http.get("/", headers=headers)).text
            assert said in error_of(page, "phone")
