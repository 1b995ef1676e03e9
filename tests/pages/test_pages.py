"""What all pages have in common."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from pages import browsing, code_on, error_of, found, hidden_on
from referral.core.errors import Refusal
from referral.http import problems
from referral.http.pages import cookie_value, forms, texts
from referral.http.pages.flash import Flash
from referral.http.pages.pending_sign_in import PendingSignIn
from support import Service, new_phone, ok, running

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
async def test_a_form_is_taken_from_our_own_pages_alone(
    service: Service, headers: dict[str, str], status: int
) -> None:
    answer = await service.http.post("/", data={"phone": new_phone()}, headers=headers)
    assert answer.status_code == status
    assert bool(service.inbox.messages) == (status == 303)


async def test_a_page_says_what_it_may_load(service: Service) -> None:
    for path in ("/", "/i/AAAAAA", "/nowhere"):
        answer = await service.http.get(path, headers={"Accept": "text/html"})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "://" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert " style=" not in answer.text


async def test_programs_get_problems_and_people_pages(service: Service) -> None:
    for path, accept, media_type in (
        ("/nowhere", "*/*", problems.MEDIA_TYPE),
        ("/nowhere", "text/html,*/*;q=0.8", "text/html"),
        ("/api/v1/nowhere", "text/html", problems.MEDIA_TYPE),
        ("/code/again", "text/html", "text/html"),
    ):
        answer = await service.http.get(path, headers={"Accept": accept})
        assert answer.status_code in {404, 405}
        assert answer.headers["content-type"].startswith(media_type), (path, accept)


async def test_what_a_form_cannot_be_is_refused(service: Service) -> None:
    """In words for people, and nothing is sent."""
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
        answer = await service.http.post(
            "/", content=content, headers={"Origin": OWN, "Content-Type": media_type}
        )
        assert answer.status_code == status, content[:20]
        assert answer.is_redirect or answer.headers["content-type"].startswith("text/html")
    assert not service.inbox.messages


async def test_cookies_are_out_of_reach(database_url: str) -> None:
    """Of scripts, of other sites, and in production of plain http and other hosts."""
    production = {
        "REFERRAL_ENV": "production",
        "REFERRAL_PUBLIC_URL": "https://app.example",
        "REFERRAL_TRUSTED_PROXIES": "0",
        "REFERRAL_SMS_URL": "simulated://",
    }
    settings: list[dict[str, str]] = [{}, production]
    for variables in settings:
        async with running(database_url, inbox=None, **variables) as service:
            answer = await service.http.post(
                "/",
                data={"phone": new_phone()},
                headers={"Origin": variables.get("REFERRAL_PUBLIC_URL", OWN)},
            )
            (cookie,) = answer.headers.get_list("set-cookie")
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
def test_where_to_go_next_is_on_this_site(text: str | None, good: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert forms.local_path(text) == (text if good else None)


def test_every_refusal_has_words_for_people() -> None:
    kinds = [Refusal]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {kind.code for kind in kinds if hasattr(kind, "code")}
    assert codes <= set(texts.REFUSALS)


@pytest.mark.parametrize("phone", ["", "x", "+99912345678", 900 * "1"])
async def test_a_cookie_that_somebody_wrote_breaks_no_page(service: Service, phone: str) -> None:
    """One with a phone that is none."""
    pending = PendingSignIn(
        token="t", phone=phone, code_length=4, expires_at=1, resend_at=1, tab="00000000"
    )
    headers = {"Cookie": f"sign_in-00000000={cookie_value.encode(pending)}", "Origin": OWN}
    for path in ("/code", "/code?tab=00000000"):
        answer = await service.http.get(path, headers=headers)
        assert answer.status_code == 200
    answer = await service.http.post("/code/again", data={"x": ""}, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/code?tab=00000000")
    assert service.inbox.messages == []


@pytest.mark.parametrize("name", ["sign_in-00000000", "draft-00000000", "flash"])
async def test_a_cookie_deeper_than_any_of_ours_is_like_none(service: Service, name: str) -> None:
    deep = urlsafe_b64encode(b'{"x":' + 2200 * b"[").decode()
    answer = await service.http.get("/code", headers={"Cookie": f"{name}={deep}"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?restarted=1")
    answer = await service.http.get("/?draft=00000000", headers={"Cookie": f"{name}={deep}"})
    assert answer.status_code == 200


async def test_a_notice_that_nobody_wrote_says_nothing(service: Service) -> None:
    headers = {"Cookie": f"flash={cookie_value.encode(Flash(code='of_nobody', path='/'))}"}
    answer = await service.http.get("/", headers=headers)
    assert 'role="status"' not in answer.text
    assert "Content-Type" not in answer.text


async def test_another_number_keeps_the_invitation_and_the_way_on(service: Service) -> None:
    inviter = await service.sign_in()
    invite_code = await inviter.invite_code()
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone, invite_code=invite_code)
        back = found(r'<a href="([^"]+)">Another number', page)
        assert back == f"/i/{invite_code}"
        assert f'name="invite_code" value="{invite_code}"' in await browser.see(back)
        page = await browser.submit_and_see("/", phone=new_phone(), next="/me/sessions")
        back = found(r'<a href="([^"]+)">Another number', page)
        assert 'name="next" value="/me/sessions"' in await browser.see(back)


async def test_what_a_form_brings_back_fits_into_a_cookie(service: Service) -> None:
    """However much was sent with it: browsers drop one of over 4096 bytes (RFC 6265, 6.1)."""
    person = await service.sign_in()
    large = {f"{number}{2000 * 'f'}": 900 * "x" for number in range(9)}
    for path, fields in (
        ("/", {"phone": new_phone(), "invite_code": 9000 * "A"}),
        ("/", {"phone": 9000 * "x", "invite_code": 9000 * "A"}),
        ("/me", {"name": 900 * "\U0001f600", "email": 900 * "\x01", **large}),
    ):
        headers = {"Origin": OWN, "Cookie": f"access={person.tokens['access_token']}"}
        answer = await service.http.post(path, data=fields, headers=headers)
        assert answer.status_code == 303
        kept = answer.headers.get_list("set-cookie")
        assert kept
        assert max(map(len, kept)) < LARGEST_COOKIE


async def test_a_phone_that_is_being_typed_stands_in_no_path(service: Service) -> None:
    """Proxies write paths with their queries into their logs."""
    answer = await service.http.post(
        "/phone-form", data={"phone": "+79991234567"}, headers={"Origin": OWN}
    )
    assert ok(answer) == {"form": "+7 999 123-45-67", "country": "RU"}
    answer = await service.http.get("/phone-form?phone=%2B79991234567")
    assert answer.status_code == 405


async def test_each_tab_has_its_own_invitation(service: Service) -> None:
    """A code that was asked for without one activates nothing, whatever another tab asks for."""
    inviter = await service.sign_in()
    invite_code = await inviter.invite_code()
    async with browsing(service) as browser:
        without = await browser.submit_and_see("/", phone=browser.phone)
        await browser.submit("/", phone=new_phone(), invite_code=invite_code)
        assert await browser.enter_code(without, "/code") == "/me"
    assert (await inviter.profile())["invitee_count"] == 0


async def test_what_one_page_has_to_say_waits_for_it(service: Service) -> None:
    async with browsing(service) as browser:
        where = await browser.submit("/", phone="123")
        await browser.get("/i/ZZZZZZ")
        assert "not a phone number" in error_of(await browser.see(where), "phone")


async def test_a_browser_without_cookies_is_told_so(service: Service) -> None:
    answer = await service.http.get("/code")
    page = await service.http.get(answer.headers["location"])
    assert "does not allow cookies" in page.text


async def test_a_code_is_read_with_the_spaces_between_its_digits(service: Service) -> None:
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        code = code_on(page)
        spaced = f" {code[:2]} {code[2:]} "
        assert await browser.submit("/code", **hidden_on(page), code=spaced) == "/me"


async def test_another_version_of_a_file_is_not_there_to_be_kept(service: Service) -> None:
    """While a deploy is under way, an old process is asked for what only the new one has."""
    own = found(r'src="(/static/pages.js[^"]+)"', (await service.get("/")).text)
    assert "immutable" in (await service.get(own)).headers["cache-control"]
    for other in ("/static/pages.js", "/static/pages.js?v=00000000"):
        answer = await service.get(other)
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize(
    ("languages", "typed", "example"),
    [
        ("ru-RU,ru;q=0.9", "8 (999) 123-45-67", "8 (912) 345-67-89"),
        ("ru_RU", "8 (999) 123-45-67", "8 (912) 345-67-89"),
        ("en", "+7 999 123-45-67", "+1 201-555-0123"),
    ],
)
async def test_a_phone_is_read_as_one_of_the_browsers_country(
    service: Service, languages: str, typed: str, example: str
) -> None:
    headers = {"Origin": OWN, "Accept-Language": languages}
    page = await service.http.get("/", headers=headers)
    assert f"<b>{example}</b>" in page.text
    answer = await service.http.post("/", data={"phone": typed}, headers=headers)
    assert answer.headers["location"].startswith("/code?tab=")
    # The API has no browser
    sent = await service.http.post(
        "/api/v1/auth/send-code", json={"phone": "8 (999) 123-45-67"}, headers=headers
    )
    assert sent.status_code == 400


async def test_a_page_names_the_country_that_is_not_served(database_url: str) -> None:
    async with running(database_url, REFERRAL_COUNTRIES_ALLOWED="RU,KZ") as service:
        for languages, said in (("en-GB", "United Kingdom"), ("ru-RU", "Великобритания")):
            headers = {"Origin": OWN, "Accept-Language": languages}
            await service.http.post("/", data={"phone": "+44 7400 123456"}, headers=headers)
            page = (await service.http.get("/", headers=headers)).text
            assert said in page
            assert "<b>+7 771 000 9998</b>" in page or "<b>8 (912) 345-67-89</b>" in page
