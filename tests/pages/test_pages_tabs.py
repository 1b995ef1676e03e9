"""Several tabs of one browser, also old ones: they do not mix, and no form is lost."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from pages import (
    ORIGIN,
    browsing,
    code_on,
    error_of,
    found,
    hidden_on,
    notice_on,
    reauthenticate,
    signed_in,
    value_of,
)
from referral.http.pages import router, tabs
from referral.service import api_keys, profiles
from referral.storage import database
from support import Service, new_phone, ok, running, wrong_code

HEADER = 8192  # bytes of all cookies: the default limit of nginx
FORMS = sorted(route.path for route in router.routes if "POST" in getattr(route, "methods", ()))


def phone_on(page: str) -> str:
    return re.sub(r"[^\d+]", "", found(r'<b class="phone"><bdi dir="ltr">([^<]+)<', page))


def form_to(page: str, path: str) -> dict[str, str]:
    """Return the hidden fields of the form with this action."""
    form = found(rf'(<form method="post" action="{path}[^"]*".*?</form>)', page)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))


async def test_two_tabs_sign_in_with_two_phones(service: Service) -> None:
    """Also after a reload, a wrong code and a resend."""
    first, second = new_phone(), new_phone()
    async with browsing(service) as browser:
        one, other = [await browser.submit("/", phone=phone) for phone in (first, second)]
        pages = [await browser.see(one), await browser.see(other)]
        assert [phone_on(page) for page in pages] == [first, second]
        wrong = wrong_code(code_on(pages[0]))
        refused_at = await browser.submit("/code", **hidden_on(pages[0]), code=wrong)
        page = await browser.see(refused_at)
        assert phone_on(page) == first
        assert "You have 2 tries left" in error_of(page, "code")
        service.clock.move(seconds=3)
        path = unescape(found(r'action="(/code/again[^"]*)"', page))
        page = await browser.submit_and_see(path, **form_to(page, "/code/again"))
        assert (phone_on(page), notice_on(page)) == (
            first,
            "A new code is on its way. Use the newest one.",
        )
        assert await browser.enter_code(page, "/code") == "/me"
        # The other one is still pending
        assert phone_on(await browser.see(other)) == second
        assert await browser.enter_code(pages[1], "/code") == "/me"
        assert second[-2:] in await browser.see("/me/account")


async def test_two_tabs_change_to_two_phones(service: Service) -> None:
    first, second = new_phone(), new_phone()
    async with signed_in(service) as browser:
        one, other = [await browser.submit("/me/phone", phone=each) for each in (first, second)]
        assert [phone_on(await browser.see(path)) for path in (one, other)] == [first, second]
        assert await browser.enter_code(await browser.see(one), "/me/phone/code") == ("/me/account")
        assert phone_on(await browser.see(other)) == second


async def test_old_tab_without_cookie_keeps_phone_and_invitation(service: Service) -> None:
    """Its code has expired; a resend goes to the same phone with the same invitation."""
    inviter = await service.sign_in()
    invite_code = await inviter.invite_code()
    async with browsing(service) as browser:
        tab = await browser.submit("/", phone=browser.phone, invite_code=invite_code)
        page = await browser.see(tab)
        service.clock.move(seconds=121)
        late = await browser.see(tab)
        assert "This code has expired. Ask for a new one." in late
        assert "simulated-code" not in late
        await browser.submit("/sign-out")
        assert not [name for name in browser.http.cookies if name.startswith("sign_in")]
        where = await browser.submit("/code", **hidden_on(page), code=code_on(page))
        assert where == tab
        page = await browser.see(where)
        assert error_of(page, "code") == "This code has expired. Ask for a new one."
        assert phone_on(page) == browser.phone
        browser.http.cookies.clear()
        path = unescape(found(r'action="(/code/again[^"]*)"', page))
        page = await browser.submit_and_see(path, **form_to(page, "/code/again"))
        assert await browser.enter_code(page, "/code") == "/me"
    assert (await inviter.profile())["invitees"] == [browser.phone]


async def test_reloaded_old_tab_keeps_its_invitation(service: Service) -> None:
    """The message does not blame cookies if the browser has some."""
    invite_code = await (await service.sign_in()).invite_code()
    async with signed_in(service) as browser:
        tab = await browser.submit("/", phone=new_phone(), invite_code=invite_code)
        await browser.submit("/sign-out")
        where = (await browser.get(tab)).headers["location"]
        assert where == f"/i/{invite_code}?restarted=1"
        page = await browser.see(where)
        assert f'name="invite_code" value="{invite_code}"' in page
        assert "This code has expired. Ask for a new one." in page
        assert "cookies" not in page


async def test_invitation_after_the_code_was_sent_counts(
    database_url: str,
) -> None:
    """The earlier code is entered on the page that has the invitation."""
    async with running(database_url, REFERRAL_RESEND_WAITS="30") as service:
        inviter = await service.sign_in()
        invite_code = await inviter.invite_code()
        async with browsing(service) as browser:
            await browser.submit("/", phone=browser.phone)
            page = await browser.submit_and_see("/", phone=browser.phone, invite_code=invite_code)
            assert await browser.enter_code(page, "/code") == "/me"
        assert (await inviter.profile())["invitees"] == [browser.phone]


async def test_many_tabs_fit_into_one_header(service: Service) -> None:
    """The oldest cookies are cleared; their pages still have the values in hidden fields."""
    admin = await service.sign_in_admin()
    async with signed_in(service, admin.phone) as browser:
        for _ in range(4):
            await browser.submit("/me/phone", phone=new_phone())
        service.clock.move(minutes=16)
        for _ in range(4):
            await browser.submit("/", phone=new_phone(), next="/me?" + 290 * "x")
            await browser.submit("/admin/keys", name=100 * "\U0001f600")
            await browser.submit("/me/phone", phone=60 * "\U0001f600")
        kept = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
        assert len(kept) < HEADER
        assert sum(name.startswith("sign_in-") for name in browser.http.cookies) >= 2


async def test_every_form_route_names_its_form() -> None:
    """Otherwise a refusal could not redirect back to the page of the form."""
    handlers = [
        handler
        for route in router.routes
        for handler in getattr(route, "route_handlers", ())
        if "POST" in handler.http_methods
    ]
    assert len(handlers) == len(FORMS)
    assert [handler for handler in handlers if "form" not in handler.opt] == []


@pytest.mark.parametrize("status", [503, 500])
async def test_failed_form_can_be_submitted_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The error page has what was typed, without a script, and the choice of the language."""
    real = profiles.change

    async def fails(*_: Any, **__: Any) -> None:
        raise database.Unavailable("away") if status == 503 else RuntimeError("a bug")

    async with signed_in(service) as browser:
        monkeypatch.setattr(profiles, "change", fails)
        response = await browser.http.post(
            "/me/account", data={"name": 'Anna "A"', "email": ""}, headers={"Origin": ORIGIN}
        )
        assert response.status_code == status
        monkeypatch.setattr(profiles, "change", real)
        page = unescape(response.text)
        assert 'name="next" value="/me/account"' in page
        fields = {
            name: unescape(text)
            for name, text in re.findall(
                r'<input type="hidden" name="(name|email)" value="([^"]*)">', response.text
            )
        }
        assert fields == {"name": 'Anna "A"', "email": ""}
        assert notice_on(await browser.submit_and_see("/me/account", **fields)) == "Saved."


async def test_form_of_another_site_is_not_offered_again(service: Service) -> None:
    async with signed_in(service) as browser:
        response = await browser.http.post(
            "/me/account", data={"name": "Eve"}, headers={"Origin": "https://evil.example"}
        )
        assert response.status_code == 403
        assert "Eve" not in response.text


@pytest.mark.parametrize(
    ("path", "field", "text"),
    [
        ("/me/account", "name", "Анна Петрова"),
        ("/me/account", "email", "anna@example.com"),
        ("/me/inviter", "invite_code", "7KQ2MX"),
        ("/me/phone", "phone", "+7 999 123-45-67"),
    ],
)
async def test_draft_is_back_after_the_sign_in(
    service: Service, path: str, field: str, text: str
) -> None:
    """The page says so before and after the sign-in, and nothing is submitted automatically."""
    phone = new_phone()
    person = await service.sign_in(phone)
    async with signed_in(service, phone) as browser:
        ok(await person.call("DELETE", "/sessions"))
        where = await browser.submit(path, **{field: text})
        page = await browser.see(where)
        assert notice_on(page).startswith("You were signed out before this was done.")
        service.clock.move(seconds=3)
        then = found(r'action="/">.*?name="next" value="([^"]+)"', page)
        assert await browser.sign_in(next=then) == then
        page = await browser.see(then)
        assert notice_on(page).startswith("Nothing is changed yet.")
        assert value_of(page, field) == text
        assert value_of(await browser.see(then), field) == text
    again = await service.sign_in_again(person)
    assert (await again.profile())["name"] is None


async def test_draft_is_shown_only_to_its_author(service: Service) -> None:
    """A draft belongs to a user, and a sign-out clears it."""
    async with signed_in(service) as browser:
        service.clock.move(minutes=16)
        confirm = await browser.submit("/me/phone", phone="+7 999 765-43-21")
        drafts = {n: v for n, v in browser.http.cookies.items() if n.startswith("draft-")}
        assert drafts
        await browser.submit("/sign-out")
        assert not [name for name in browser.http.cookies if name.startswith("draft-")]
        browser.phone = new_phone()
        assert await browser.sign_in() == "/me"
        browser.http.cookies.update(drafts)
        page = await browser.see(await reauthenticate(browser, confirm))
        assert value_of(page, "phone") == ""


async def test_api_key_is_made_after_reauthentication(service: Service) -> None:
    admin = await service.sign_in_admin()
    async with signed_in(service, admin.phone) as browser:
        service.clock.move(minutes=16)
        page = await browser.see(
            await reauthenticate(browser, await browser.submit("/admin/keys", name="crm & co"))
        )
        assert [key.name for key in await api_keys.list_all()] == []
        page = await browser.submit_and_see("/admin/keys", name=unescape(value_of(page, "name")))
        assert [key.name for key in await api_keys.list_all()] == ["crm & co"]
        assert "Copy it now" in page


def test_tab_key_is_unambiguous() -> None:
    assert re.fullmatch("[0-9a-f]{8}", tabs.key_of("a", "b"))
    assert tabs.key_of("a", "b") != tabs.key_of("ab", "")
