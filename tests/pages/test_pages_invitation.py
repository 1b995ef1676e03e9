"""The page of an invite link, its preview in messengers, and the welcome after it."""

from __future__ import annotations

import re
import struct
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from images import png
from pages import Browser, browsing, found, signed_in
from support import Person, Service, new_phone, ok, running

RUSSIAN = {"Accept-Language": "ru"}
SEEN = 'class="seen"'


async def named(service: Service, name: str = "Anna Petrova") -> Person:
    person = await service.sign_in()
    ok(await person.call("PATCH", "/profile", json={"name": name}))
    return person


def preview_of(page: str) -> dict[str, str]:
    """Return the properties that messengers read."""
    properties = r'<meta (?:property|name)="((?:og|twitter):[^"]+)" content="([^"]*)"'
    return {name: unescape(content) for name, content in re.findall(properties, page)}


async def test_the_preview_says_who_invites_to_what(database_url: str) -> None:
    """The texts are escaped, and the addresses absolute."""
    variables = {"REFERRAL_APP_NAME": "Bread & <Tea>", "REFERRAL_OFFER": 'A "free" coffee'}
    async with (
        running(database_url, inbox=None, **variables) as service,
        browsing(service) as browser,
    ):
        code = await (await named(service, "Anna <b> Petrova")).invite_code()
        text = (await browser.get(f"/i/{code}")).text
        assert "<Tea>" not in text
        shown = preview_of(text)
        image = shown.pop("og:image")
        assert shown == {
            "og:type": "website",
            "og:site_name": "Bread & <Tea>",
            "og:title": "Anna invites you to Bread & <Tea>",
            "og:description": 'A "free" coffee',
            "og:url": f"http://127.0.0.1:8000/i/{code}",
            "og:locale": "en_US",
            "og:image:type": "image/png",
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": "An invitation",
            "twitter:card": "summary_large_image",
        }
        assert '<meta name="robots" content="noindex">' in text
    assert image.startswith("http://127.0.0.1:8000/static/preview.png?v=")


async def test_only_invitations_have_a_preview(service: Service) -> None:
    """That of an unknown code names nobody."""
    async with browsing(service) as browser:
        assert not preview_of(await browser.see("/"))
        shown = preview_of((await browser.get("/i/ZZZZZZ")).text)
        assert shown["og:title"] == "Referral"
        assert "og:image" in shown
        code = await (await service.sign_in()).invite_code()
        assert preview_of(await browser.see(f"/i/{code}"))["og:title"] == (
            "A friend invites you to Referral"
        )


async def test_a_program_without_a_language_gets_the_regions(database_url: str) -> None:
    async with running(database_url, REFERRAL_DEFAULT_REGION="RU") as service:
        code = await (await named(service)).invite_code()
        async with browsing(service) as browser:
            shown = preview_of(await browser.see(f"/i/{code}"))
            assert (shown["og:locale"], shown["og:title"]) == (
                "ru_RU",
                "Anna приглашает вас в Referral",
            )
            english = await browser.get(f"/i/{code}", **{"Accept-Language": "en"})
            assert preview_of(english.text)["og:locale"] == "en_US"


async def test_the_picture_is_cached_for_long(database_url: str, tmp_path: Path) -> None:
    """Ours or the team's; under another version there is none."""
    own = tmp_path / "own.png"
    own.write_bytes(png(1200, 630))
    for variables in ({}, {"REFERRAL_PREVIEW_IMAGE": str(own)}):
        async with (
            running(database_url, inbox=None, **variables) as service,
            browsing(service) as browser,
        ):
            page = (await browser.get("/i/ZZZZZZ")).text
            path = preview_of(page)["og:image"].removeprefix("http://127.0.0.1:8000")
            browser.http.cookies.clear()
            response = await browser.get(path)
            assert response.status_code == 200
            assert response.headers["content-type"] == "image/png"
            cached = set(response.headers["cache-control"].split(", "))
            assert cached == {"public", "max-age=31536000", "immutable"}
            assert "set-cookie" not in response.headers
            assert struct.unpack(">II", response.content[16:24]) == (1200, 630)
            assert (response.content == own.read_bytes()) == bool(variables)
            assert len(response.content) < 30_000
            assert (await browser.get("/static/preview.png?v=00000000")).status_code == 404


@pytest.mark.parametrize("shown", ["phone", "masked"])
async def test_a_person_reads_what_the_inviter_will_see(database_url: str, shown: str) -> None:
    async with running(database_url, REFERRAL_INVITEE_SHOWN=shown) as service:
        code = await (await named(service)).invite_code()
        async with browsing(service) as browser:
            page = await browser.see(f"/i/{code}")
            assert "<h2>Join <bdi>Referral</bdi></h2>" in page
            words = re.sub(r"<[^>]+>", "", found(r'<p class="seen"[^>]*>(.*?)</p>', page)).strip()
        if shown == "phone":
            assert words == "Anna will see your phone number, and your first name if you add it."
            return
        assert re.fullmatch(
            r"Anna will see your first name, or your phone as \+\d+\*+\d\d\.", words
        )
        async with signed_in(service, "+79991234567") as browser:
            assert "your phone as" in await browser.see(f"/i/{code}")
            assert "+7********67" in await browser.see(f"/i/{code}")
            assert "a part of your phone number" in await browser.see("/me/account")


async def test_every_state_has_a_way_on(database_url: str) -> None:
    """Of a signed-in person: may accept, has joined, own invitation; of a new one: used up."""
    variables = {"REFERRAL_APP_URL": "https://app.example", "REFERRAL_INVITES_PER_USER": "1"}
    async with running(database_url, inbox=None, **variables) as service:
        inviter, other = await named(service), await service.sign_in()
        code = await inviter.invite_code()
        async with signed_in(service) as browser:
            page = await browser.see(f"/i/{code}")
            assert "Accept the invitation" in page
            assert SEEN in page
            await browser.submit("/me/inviter", invite_code=code)
            page = await browser.see(f"/i/{await other.invite_code()}")
            assert "Only one is possible" in page
            assert 'href="https://app.example"' in page
            assert SEEN not in page
        service.clock.move(seconds=3)
        async with signed_in(service, inviter.phone) as browser:
            page = await browser.see(f"/i/{code}")
            assert "This is your own invitation" in page
            assert '<a class="button main" href="/me">' in page
        async with browsing(service) as browser:
            page = await browser.see(f"/i/{code}")
            assert "has no places left" in page
            assert "You can go on without an invitation." in page
            # It would be refused after the sign-in
            assert f'value="{code}"' not in page
            assert 'name="phone"' in page
            assert SEEN not in page


async def test_the_welcome_names_the_inviter(database_url: str) -> None:
    """Without any rule, with the offer and a way to the app; once, also for a later activation."""
    variables: dict[str, Any] = {
        "REFERRAL_APP_NAME": "Club",
        "REFERRAL_APP_URL": "https://app.example/?a=1&b=2",
        "REFERRAL_OFFER": "A free coffee",
    }
    async with running(database_url, inbox=None, **variables) as service:
        code = await (await named(service)).invite_code()
        async with browsing(service) as browser:
            assert await browser.sign_in(invite_code=code) == "/me"
            await _welcome(browser)
        async with signed_in(service) as browser:
            assert "You joined" not in await browser.see("/me")
            assert await browser.submit("/me/inviter", invite_code=code) == "/me"
            await _welcome(browser)
            account = await browser.see("/me/account")
            assert "<bdi>Anna</bdi> invited me, with the invite code" in account
        # A sign-in that activates nothing
        service.clock.move(seconds=3)
        async with browsing(service, browser.phone) as again:
            assert await again.sign_in(invite_code=code) == "/me"
            assert "You joined" not in await again.see("/me")


async def _welcome(browser: Browser) -> None:
    page = await browser.see("/me")
    said = found(r'(<div class="notice" role="status".*?</div>)', page)
    assert "You joined <bdi>Club</bdi>. <bdi>Anna</bdi> invited you." in said
    assert "A free coffee" in said
    assert '<a class="button main" href="https://app.example/?a=1&b=2">' in said
    page = await browser.see("/me")
    assert "You joined" not in page
    assert "https://app.example" in page


async def test_a_welcome_on_another_page_is_a_sentence(service: Service) -> None:
    code = await (await named(service)).invite_code()
    async with browsing(service, new_phone()) as browser:
        page = await browser.submit_and_see(
            "/", phone=browser.phone, invite_code=code, next="/me/account"
        )
        assert await browser.enter_code(page, "/code") == "/me/account"
        assert "You joined by an invitation." in await browser.see("/me/account")
