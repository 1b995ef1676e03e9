"""The signed-in user's own pages, over HTTP and without JavaScript."""

from __future__ import annotations

import json
import re
from html import unescape
from itertools import pairwise

import pytest

from pages import (
    ORIGIN,
    browsing,
    error_of,
    found,
    hidden_on,
    notice_on,
    reauthenticate,
    signed_in,
    value_of,
)
from referral.http.pages import data, devices
from rewards import open_shop
from support import Service, new_phone, ok, refused, running

PATHS = (
    "/me",
    "/me/account",
    "/me/invitees",
    "/me/sessions",
    "/me/phone",
    "/me/delete",
    "/me/data.json",
    "/me/invite.svg",
    "/me/invite.png",
)
LARGEST = 50_000  # bytes of a page, its style with it


async def test_profile_shows_the_users_data(service: Service) -> None:
    phone = new_phone()
    person = await service.sign_in(phone)
    ok(
        await person.call(
            "PATCH", "/profile", json={"name": "<b>Anna</b>", "email": "a@example.com"}
        )
    )
    profile = await person.profile()
    async with signed_in(service, phone) as browser:
        response = await browser.get("/me")
        page = await browser.see("/me")
        account = await browser.get("/me/account")
    assert "<b>Anna</b>" not in response.text + account.text
    page += unescape(account.text)
    assert "<b>Anna</b>" in page
    spelt = f"{phone[:2]} {phone[2:5]} {phone[5:8]}-{phone[8:10]}-{phone[10:]}"
    for shown in (spelt, "a@example.com", profile["invite_code"], profile["invite_link"]):
        assert shown in page
    assert f'data-copy="{profile["invite_link"]}"' in page
    assert f'data-share="{profile["invite_link"]}"' in page
    assert 'class="qr"><path fill="#fff"' in page
    assert 'href="/admin"' not in page


async def test_pages_have_no_inline_style_or_script(service: Service) -> None:
    """The CSP would block them."""
    async with signed_in(service) as browser:
        for path in PATHS[:6]:
            response = await browser.get(path)
            assert " style=" not in response.text
            assert not re.search(r"<script(?! src=)| on\w+=", response.text)
            assert len(response.content) < LARGEST
            assert response.headers["cache-control"] == "no-store"


async def test_headings_and_labels_are_in_order(service: Service) -> None:
    async with signed_in(service) as browser:
        for path in PATHS[:6]:
            page = await browser.see(path)
            levels = [int(level) for level in re.findall(r"<h(\d)", page)]
            assert levels[0] == 1
            assert levels.count(1) == 1
            assert all(after - before <= 1 for before, after in pairwise(levels))
            ids = re.findall(r' id="([^"]+)"', page)
            assert len(ids) == len(set(ids))
            for field in re.findall(r'<input id="([^"]+)"', page):
                assert f' for="{field}"' in page
            if path in {"/me", "/me/account", "/me/invitees"}:
                assert re.findall(r'href="([^"]+)" aria-current="page"', page) == [path]


async def test_name_and_email_are_saved_and_cleared(service: Service) -> None:
    async with signed_in(service) as browser:
        page = await browser.submit_and_see("/me/account", name=" Anna ")
        assert notice_on(page) == "Saved."
        await browser.submit("/me/account", email="anna@example.com")
        page = await browser.see("/me/account")
        assert (value_of(page, "name"), value_of(page, "email")) == ("Anna", "anna@example.com")
        await browser.submit("/me/account", name="", email="")
        page = await browser.see("/me/account")
        assert (value_of(page, "name"), value_of(page, "email")) == ("", "")


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("name", "A" * 101, "1 to 100 ordinary characters"),
        ("email", "anna@", "Enter an email address"),
    ],
)
async def test_refused_field_keeps_its_text(
    service: Service, field: str, text: str, words: str
) -> None:
    async with signed_in(service) as browser:
        page = await browser.submit_and_see("/me/account", **{field: text})
        assert words in error_of(page, field)
        assert value_of(page, field) == text
        assert '<details class="row" open>' in page
        assert value_of(await browser.see("/me/account"), field) == ""


async def test_invite_code_is_activated_once(service: Service) -> None:
    inviter = await service.sign_in()
    code = await inviter.invite_code()
    async with signed_in(service) as browser:
        page = await browser.submit_and_see("/me/inviter", invite_code=code.lower())
        assert "by a friend's invitation." in page
        assert "Did a friend give you" not in page
        page = await browser.see("/me/account")
        assert code in page
        assert 'name="invite_code"' not in page
        assert "You have accepted this invitation already." in await browser.see(f"/i/{code}")
        other = await (await service.sign_in()).invite_code()
        page = await browser.submit_and_see("/me/inviter", invite_code=other)
        said = found(r'id="invite_code-error" role="alert"[^>]*>([^<]+)<', page)
        assert "an invite code already" in said
        assert "You have used an invite code already." in await browser.see(f"/i/{other}")
    assert (await inviter.profile())["invitees"] == [browser.phone]


async def test_invite_link_is_accepted_as_a_code(service: Service) -> None:
    link = (await (await service.sign_in()).profile())["invite_link"]
    async with signed_in(service) as browser:
        empty = await browser.submit_and_see("/me/inviter", invite_code="")
        assert "Enter the 6 characters" in error_of(empty, "invite_code")
        page = await browser.submit_and_see("/me/inviter", invite_code=f"Join me: {link}?utm=1.")
        assert "by a friend's invitation." in page


async def test_refused_invite_code_shows_the_reason(service: Service) -> None:
    async with signed_in(service) as browser:
        own = found(r'id="my-code">(\w+)<', await browser.see("/me"))
        page = await browser.submit_and_see("/me/inviter", invite_code=own)
        assert "your own" in error_of(page, "invite_code")
        assert value_of(page, "invite_code") == own
        page = await browser.submit_and_see("/me/inviter", invite_code="000000")
        assert "no such invite code" in error_of(page, "invite_code")
        invitee = await service.sign_in(invite_code=own)
        page = await browser.submit_and_see("/me/inviter", invite_code=await invitee.invite_code())
        assert "You invited this person" in error_of(page, "invite_code")


async def test_profile_shows_an_invitation_refused_at_sign_in(service: Service) -> None:
    async with browsing(service) as browser:
        assert await browser.sign_in(invite_code="000000") == "/me/account"
        page = await browser.see("/me/account")
        assert "no such invite code" in error_of(page, "invite_code")


async def test_profile_shows_ten_invitees_and_links_to_all(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("referral.http.pages.invitees._PAGE_SIZE", 5)
    async with signed_in(service) as browser:
        code = found(r'id="my-code">(\w+)<', await browser.see("/me"))
        assert "Nobody yet" in await browser.see("/me/invitees")
        people = []
        for _ in range(11):
            people.append(await service.sign_in(invite_code=code))
            service.clock.move(seconds=60)
        moved = people[-1]
        sent = ok(await moved.call("POST", "/profile/phone/send-code", json={"phone": new_phone()}))
        body = {"token": sent["token"], "code": sent["code"]}
        ok(await moved.call("PUT", "/profile/phone", json=body))

        page = await browser.see("/me")
        rows = _rows(page)
        assert 'class="count">11<' in page
        assert [_digits(row) for row in rows[:10]] == [
            "",
            *(person.phone[1:] for person in people[-2:0:-1]),
        ]
        assert "changed phone" in rows[0]
        assert re.search(
            r'<time datetime="\d{4}-\d\d-\d\d" title="\d+ \w+ \d{4}">1 minute ago</time>', rows[0]
        )

        path, seen, turns = "/me/invitees", [], 0
        while path:
            page = await browser.see(path)
            seen += [_digits(row) for row in _rows(page)]
            assert (">Newest</a>" in page) == bool(turns)
            turns += 1
            following = re.search(r'rel="next" href="([^"]+)"', page)
            path = following[1] if following else ""
    assert turns == 3
    assert seen == ["", *(person.phone[1:] for person in people[-2::-1])]


async def test_invalid_cursor_is_an_error_page(service: Service) -> None:
    async with signed_in(service) as browser:
        for path in ("/me/invitees", "/me/sessions"):
            response = await browser.get(f"{path}?cursor=rubbish")
            assert response.status_code == 400
            assert "Go back and try again" in response.text


async def test_qr_code_is_the_same_as_the_apis(service: Service) -> None:
    phone = new_phone()
    person = await service.sign_in(phone)
    async with signed_in(service, phone) as browser:
        for kind, media_type in (("svg", "image/svg+xml"), ("png", "image/png")):
            response = await browser.get(f"/me/invite.{kind}")
            assert response.headers["content-type"].partition(";")[0] == media_type
            assert response.content == (await person.call("GET", f"/profile/invite.{kind}")).content


async def test_devices_are_signed_out_one_by_one(service: Service) -> None:
    async with signed_in(service) as browser:
        service.clock.move(seconds=3)
        other = await service.sign_in(browser.phone)
        page = await browser.see("/me/sessions")
        assert page.count("this device") == 1
        assert page.count("python-httpx") == 2
        assert re.search(r'<time datetime="[\d-]+T\d\d:\d\dZ">\d+ \w+ \d{4}, \d\d:\d\d UTC<', page)
        ended = found(r'action="(/me/sessions/[^"]+/end)"', page)
        page = await browser.submit_and_see(ended)
        assert notice_on(page) == "That device is signed out."
        assert page.count("python-httpx") == 1
        refused(await other.call("GET", "/profile"), 401, "unauthorized")
        # A second click
        assert notice_on(await browser.submit_and_see(ended)) == "That device is signed out."


async def test_devices_are_paginated(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("referral.http.pages.sessions._PAGE_SIZE", 2)
    phone = new_phone()
    await service.sign_in(phone)
    service.clock.move(seconds=3)
    await service.sign_in(phone)
    async with signed_in(service, phone) as browser:
        page = await browser.see("/me/sessions")
        assert len(_rows(page)) == 2
        page = await browser.see(found(r'rel="next" href="([^"]+)"', page))
        assert len(_rows(page)) == 1
        assert ">Newest</a>" in page


async def test_ending_own_session_or_all_signs_out_here(service: Service) -> None:
    async with signed_in(service) as browser:
        person = await service.sign_in_again(await service.sign_in())
        listed = ok(await person.call("GET", "/sessions"))["items"]
        assert len(listed) == 2
        page = await browser.submit_and_see("/me/sessions/end-all")
        assert notice_on(page) == "You are signed out everywhere."
        assert not {"access", "refresh"} & set(browser.http.cookies)
        # Other users stay signed in
        assert (await person.call("GET", "/profile")).status_code == 200

    phone = new_phone()
    async with signed_in(service, phone) as browser:
        service.clock.move(seconds=3)
        api = await service.sign_in(phone)
        sessions = ok(await api.call("GET", "/sessions"))["items"]
        own = next(each["id"] for each in sessions if not each["current"])
        assert await browser.submit(f"/me/sessions/{own}/end") == "/"
        assert notice_on(await browser.see("/")) == "You are signed out."
        assert not {"access", "refresh"} & set(browser.http.cookies)


async def test_session_of_another_user_cannot_be_ended(service: Service) -> None:
    other = await service.sign_in()
    theirs = ok(await other.call("GET", "/sessions"))["items"][0]["id"]
    async with signed_in(service) as browser:
        await browser.submit(f"/me/sessions/{theirs}/end")
    assert (await other.call("GET", "/profile")).status_code == 200


async def test_changing_the_phone_notifies_the_old_one(service: Service) -> None:
    old, new = new_phone(), new_phone()
    elsewhere = await service.sign_in(old)
    async with signed_in(service, old) as browser:
        page = await browser.submit_and_see("/me/phone", phone=new)
        assert 'action="/me/phone/code?tab=' in page
        assert 'href="/me/phone?tab=' in page
        under_way = {
            name: value
            for name, value in browser.http.cookies.items()
            if name.startswith("new_phone")
        }
        wrong = "0000" if found(r'simulated-code">(\d+)<', page) != "0000" else "1111"
        hidden = hidden_on(page)
        refused_page = await browser.submit_and_see("/me/phone/code", **hidden, code=wrong)
        assert "Wrong code" in error_of(refused_page, "code")
        empty = await browser.submit_and_see("/me/phone/code", **hidden, code="")
        assert "Enter all digits" in error_of(empty, "code")
        assert await browser.enter_code(page, "/me/phone/code") == "/me/account"
        profile = await browser.see("/me/account")
        assert (
            notice_on(profile) == "Your phone number is changed. Your other devices are signed out."
        )
        assert new[-2:] in profile
        # The form is submitted twice, one after the other or both before the first response
        assert await browser.enter_code(page, "/me/phone/code") == "/me/account"
        browser.http.cookies.update(under_way)
        assert await browser.enter_code(page, "/me/phone/code") == "/me/account"
    refused(await elsewhere.call("GET", "/profile"), 401, "unauthorized")
    assert service.inbox.messages[-1].phone == old
    assert "has a new phone number" in service.inbox.messages[-1].text


async def test_refused_phone_shows_the_reason(service: Service) -> None:
    taken = (await service.sign_in()).phone
    async with signed_in(service) as browser:
        page = await browser.submit_and_see("/me/phone", phone="12")
        assert "not a phone number" in error_of(page, "phone")
        assert value_of(page, "phone") == "12"
        page = await browser.submit_and_see("/me/phone", phone="+7 495 123-45-67")
        assert "Use a mobile number" in error_of(page, "phone")
        service.clock.move(seconds=3)
        page = await browser.submit_and_see("/me/phone", phone=taken)
        assert await browser.enter_code(page, "/me/phone/code") == "/me/phone"
        page = await browser.see("/me/phone")
        assert "Another account uses this phone number" in error_of(page, "phone")
        assert re.sub(r"[ -]", "", value_of(page, "phone")) == taken


async def test_resend_to_the_new_phone(database_url: str) -> None:
    async with (
        running(database_url, REFERRAL_RESEND_WAITS="30") as service,
        signed_in(service) as browser,
    ):
        assert await browser.submit("/me/phone/code/again") == "/me/phone"
        assert (await browser.get("/me/phone/code")).headers["location"] == "/me/phone"
        new = new_phone()
        await browser.submit("/me/phone", phone=new)
        # The same phone again leads to the page of its code; a resend has to wait
        assert (await browser.submit("/me/phone", phone=new)).startswith("/me/phone/code?tab=")
        page = await browser.submit_and_see("/me/phone/code/again")
        assert "We cannot send another code yet. Try again in" in found(
            r'id="again-error"[^>]*>([^<]+)<', page
        )
        service.clock.move(seconds=31)
        page = await browser.submit_and_see("/me/phone/code/again")
        assert notice_on(page) == "A new code is on its way. Use the newest one."
        assert await browser.enter_code(page, "/me/phone/code") == "/me/account"


async def test_pending_code_is_hidden_from_the_next_user(service: Service) -> None:
    async with signed_in(service) as browser:
        new = new_phone()
        await browser.submit("/me/phone", phone=new)
        await browser.submit("/sign-out")
        browser.phone = new_phone()
        assert await browser.sign_in() == "/me"
        assert (await browser.get("/me/phone/code")).headers["location"] == "/me/phone"


@pytest.mark.parametrize("path", ["/me/phone", "/me/delete"])
async def test_reauthentication_leads_back_to_the_page(service: Service, path: str) -> None:
    async with signed_in(service) as browser:
        service.clock.move(minutes=16)
        response = await browser.get(path)
        assert (response.status_code, response.headers["location"]) == (303, f"/again?next={path}")
        page = await browser.see(response.headers["location"])
        page = await browser.submit_and_see(
            "/again", next=found(r'name="next" value="([^"]+)">\n', page)
        )
        assert await browser.enter_code(page, "/code") == path
        await browser.see(path)


@pytest.mark.parametrize(
    "path", ["/me/phone", "/me/phone/code", "/me/phone/code/again", "/me/delete"]
)
async def test_form_with_an_old_sign_in_only_reauthenticates(service: Service, path: str) -> None:
    """It leads back to the form with what was typed."""
    async with signed_in(service) as browser:
        hidden = hidden_on(await browser.submit_and_see("/me/phone", phone=new_phone()))
        service.clock.move(minutes=16)
        sent = len(service.inbox.messages)
        typed = {"phone": new_phone(), "sure": "yes", "code": "0000"}
        confirm = await browser.submit(path, **typed, **hidden)
        assert confirm.startswith("/again?next=/me/")
        assert len(service.inbox.messages) == sent
        page = await browser.see(await reauthenticate(browser, confirm))
        assert notice_on(page).startswith("Nothing is changed yet.")
        if path == "/me/phone":
            assert value_of(page, "phone") == typed["phone"]
        if path == "/me/phone/code":
            assert value_of(page, "code") == "0000"


async def test_account_is_deleted_after_confirmation(service: Service) -> None:
    async with signed_in(service) as browser:
        service.clock.move(seconds=3)
        api = await service.sign_in(browser.phone)
        page = await browser.submit_and_see("/me/delete")
        assert "Tick this box" in error_of(page, "sure")
        assert (await api.call("GET", "/profile")).status_code == 200
        page = await browser.submit_and_see("/me/delete", sure="yes")
        assert notice_on(page) == "Your account is deleted."
        assert not {"access", "refresh", "device"} & set(browser.http.cookies)
        refused(await api.call("GET", "/profile"), 401, "unauthorized")


@pytest.mark.parametrize(
    ("sign_up", "said"),
    [
        ("open", "You can sign up again with the same phone number, as a new user."),
        (
            "invited",
            "To sign up again with the same phone number, you will need an invitation.",
        ),
        ("closed", "You will not be able to sign up again by yourself."),
    ],
)
async def test_page_of_deletion_says_what_is_lost(
    database_url: str, sign_up: str, said: str
) -> None:
    async with running(database_url) as service, open_shop(service) as shop:
        await shop.rule("welcome", trigger="activated", amount=7, unit="stars")
        inviter = await service.sign_in()
        await shop.invite(inviter)
    async with (
        running(database_url, REFERRAL_SIGN_UP=sign_up) as service,
        signed_in(service, inviter.phone) as browser,
    ):
        page = await browser.see("/me/delete")
        lines = [re.sub("<.*?>", "", each) for each in re.findall("<li>(.*?)</li>", page)]
        assert lines[-1] == said
        assert f"You will lose your 7 stars{shop.tag}." in lines


async def test_last_administrator_cannot_delete_the_account(service: Service) -> None:
    admin = await service.sign_in_admin()
    async with signed_in(service, admin.phone) as browser:
        assert 'href="/admin"' in await browser.see("/me")
        page = await browser.submit_and_see("/me/delete", sure="yes")
        said = found(r'id="delete-error" role="alert">([^<]+)<', page)
        assert "last administrator" in said
        await browser.see("/me")


async def test_data_json_has_all_pages_of_lists(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_PAGE_SIZE", 2)
    phone = new_phone()
    person = await service.sign_in(phone)
    code = await person.invite_code()
    for _ in range(5):
        await service.sign_in(invite_code=code)
    for _ in range(3):
        await service.sign_in_again(person)
    async with signed_in(service, phone) as browser:
        response = await browser.get("/me/data.json")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert response.headers["cache-control"] == "no-store"
    taken = json.loads(response.content)
    profile = await person.profile()
    assert taken["profile"] == {key: profile[key] for key in profile if key != "invitees"}
    assert taken["invitees"] == ok(await person.call("GET", "/profile/invitees"))["items"]
    assert len(taken["invitees"]) == 5
    sessions = ok(await person.call("GET", "/sessions"))["items"]
    assert [each["id"] for each in taken["sessions"]] == [each["id"] for each in sessions]
    assert len(taken["sessions"]) == 5


async def test_tokens_are_refreshed_without_access_cookie(service: Service) -> None:
    async with signed_in(service) as browser:
        before = browser.http.cookies["refresh"]
        browser.http.cookies.delete("access")
        await browser.see("/me/sessions")
        assert browser.http.cookies["access"]
        assert browser.http.cookies["refresh"] != before
        # Also by a form and by a download
        for path in ("/me/data.json", "/me/invite.png"):
            browser.http.cookies.delete("access")
            assert (await browser.get(path)).status_code == 200
            assert browser.http.cookies["access"]
        browser.http.cookies.delete("access")
        assert await browser.submit("/me/account", name="Anna") == "/me/account"


async def test_ended_session_leads_to_the_sign_in_page(
    service: Service,
) -> None:
    phone = new_phone()
    person = await service.sign_in(phone)
    async with signed_in(service, phone) as browser:
        ok(await person.call("DELETE", "/sessions"))
        response = await browser.get("/me/invitees")
        assert (response.status_code, response.headers["location"]) == (303, "/?next=/me/invitees")
        assert notice_on(await browser.see("/?next=/me/invitees")) == "Sign in first."
        assert not {"access", "refresh"} & set(browser.http.cookies)
        service.clock.move(seconds=3)
        assert await browser.sign_in(next="/me/invitees") == "/me/invitees"


async def test_pages_need_a_sign_in(service: Service) -> None:
    async with browsing(service) as browser:
        for path in PATHS:
            response = await browser.get(path)
            assert response.status_code == 303
            assert response.headers["location"].split("?")[0] == "/"
        for path in ("/me/account", "/me/inviter", "/me/phone", "/me/phone/code", "/me/delete"):
            assert (await browser.submit(path, name="Anna")).startswith("/?next=/me")


async def test_forms_of_other_sites_change_nothing(service: Service) -> None:
    async with signed_in(service) as browser:
        for path in (
            "/me/account",
            "/me/inviter",
            "/me/phone",
            "/me/phone/code",
            "/me/phone/code/again",
            "/me/delete",
            "/me/sessions/end-all",
            "/me/sessions/00000000-0000-4000-8000-000000000000/end",
        ):
            for headers in ({"Origin": "https://example.com"}, {}):
                form = {"name": "Eve", "sure": "yes"}
                response = await browser.http.post(path, data=form, headers=headers)
                assert response.status_code == 403
        assert "Eve" not in await browser.see("/me/account")


async def test_api_ignores_the_cookies_of_the_pages(service: Service) -> None:
    async with signed_in(service) as browser:
        for method, path in (("GET", "/profile"), ("DELETE", "/sessions"), ("DELETE", "/profile")):
            response = await browser.http.request(
                method, f"/api/v1{path}", headers={"Origin": ORIGIN}
            )
            refused(response, 401, "unauthorized")
        await browser.see("/me")


async def test_blocked_user_is_told(service: Service) -> None:
    admin = await service.sign_in_admin()
    async with signed_in(service) as browser:
        found_users = ok(await admin.call("GET", "/users", params={"search": browser.phone}))
        user_id = found_users["items"][0]["id"]
        ok(await admin.call("PATCH", f"/users/{user_id}", json={"is_blocked": True}))
        assert (await browser.get("/me")).headers["location"] == "/?next=/me"
        service.clock.move(seconds=3)
        refused_at = await browser.sign_in()
        assert refused_at.startswith("/code?tab=")
        assert "blocked" in error_of(await browser.see(refused_at), "code")


@pytest.mark.parametrize(
    ("user_agent", "known"),
    [
        (
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/130.0.0.0 Mobile Safari/537.36"
            ),
            ("Chrome", "Android"),
        ),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
                "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
            ),
            ("Safari", "iPhone"),
        ),
        (
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0"
            ),
            ("Edge", "Windows"),
        ),
        (
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/128.0.0.0 YaBrowser/24.10.0.0 Safari/537.36"
            ),
            ("Yandex", "Windows"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
            ("Firefox", "Linux"),
        ),
        ("okhttp/4.12.0", None),
        ("", None),
        (None, None),
    ],
)
def test_devices_are_named_by_user_agent(
    user_agent: str | None, known: tuple[str, str] | None
) -> None:
    assert devices.parse(user_agent) == (devices.Device(*known) if known else None)


def _rows(page: str) -> list[str]:
    """Return the rows of the first list on a page."""
    return re.findall(r"<li>(.*?)</li>", found(r'<ul class="rows[^>]*>(.*?)</ul>', page), re.DOTALL)


def _digits(row: str) -> str:
    return re.sub(r"\D", "", row.partition("<time")[0].partition('class="phone">')[2])
