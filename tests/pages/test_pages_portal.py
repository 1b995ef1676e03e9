"""The portal `/me`: rewards to come, the link to share, and friends."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pages import browsing, found, signed_in
from referral import i18n
from referral.http.pages import sharing
from referral.http.pages.ago import ago
from rewards import open_shop
from support import Service, new_phone, ok, running

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINK = "https://r.example/i/7KQ2MX"
TEXT = "Join me at A&B! 50% off + ☕"


def text_of(page: str, pattern: str = "(<main.*?</main>)") -> str:
    words = re.sub(r"<[^>]+>", " ", found(pattern, page)).replace("\u202f", " ")
    return re.sub(r"\s+", " ", words)


@pytest.mark.parametrize(
    ("before", "english", "russian"),
    [
        (timedelta(seconds=-5), "just now", "только что"),
        (timedelta(seconds=59), "just now", "только что"),
        (timedelta(minutes=1), "1 minute ago", "1 минуту назад"),
        (timedelta(minutes=59), "59 minutes ago", "59 минут назад"),
        (timedelta(hours=2), "2 hours ago", "2 часа назад"),
        (timedelta(days=1), "1 day ago", "1 день назад"),
        (timedelta(days=29), "29 days ago", "29 дней назад"),
        (timedelta(days=30), "1 month ago", "1 месяц назад"),
        (timedelta(days=364), "12 months ago", "12 месяцев назад"),
        (timedelta(days=365), "1 year ago", "1 год назад"),
        (timedelta(days=5 * 366), "5 years ago", "5 лет назад"),
    ],
)
def test_ago(before: timedelta, english: str, russian: str) -> None:
    assert f">{english}</time>" in ago(NOW - before, NOW, language=i18n.ours()["en"])
    assert f">{russian}</time>" in ago(NOW - before, NOW, language=i18n.ours()["ru"])


def test_ago_has_the_exact_day() -> None:
    shown = ago(NOW - timedelta(days=3), NOW, language=i18n.ours()["en"])
    assert shown == '<time datetime="2026-02-26" title="26 February 2026">3 days ago</time>'


def test_share_links_carry_the_whole_text() -> None:
    """Each character outside RFC 3986's unreserved ones is encoded."""
    shared = {each.name: each for each in sharing.links(LINK, subject="Hi & bye", text=TEXT)}
    message = f"{TEXT}\r\n{LINK}"
    assert parse_qs(urlsplit(shared["WhatsApp"].url).query) == {"text": [message]}
    assert parse_qs(urlsplit(shared["Telegram"].url).query) == {"url": [LINK], "text": [TEXT]}
    assert unquote(shared["SMS"].url.removeprefix("sms:?&body=")) == message
    assert parse_qs(urlsplit(shared["Email"].url).query) == {
        "subject": ["Hi & bye"],
        "body": [message],
    }
    for each in shared.values():
        assert re.fullmatch(r"[A-Za-z0-9._~%:/?&=-]+", each.url)


async def test_share_links_are_in_the_pages_language(database_url: str) -> None:
    """They are plain links with the offer, and only web pages open in a tab of their own."""
    variables = {"REFERRAL_APP_NAME": "A & B", "REFERRAL_OFFER_RU": "Кофе <даром>"}
    async with (
        running(database_url, inbox=None, **variables) as service,
        signed_in(service) as browser,
    ):
        russian = (await browser.get("/me", **{"Accept-Language": "ru"})).text
        links = dict(re.findall(r'<a class="button" href="([^"]+)"([^>]*)>', russian))
        whatsapp = next(each for each in links if "wa.me" in each)
        assert unquote(whatsapp).startswith(
            "https://wa.me/?text=Присоединяйтесь ко мне в A & B! Кофе <даром>\r\nhttp://"
        )
        for url, more in links.items():
            is_site = url.startswith("https:")
            assert ('target="_blank" rel="noopener noreferrer"' in more) == is_site
        assert 'data-text="Присоединяйтесь ко мне в A &amp; B! Кофе &lt;даром&gt;"' in russian
        assert "Join%20me%20at%20A%20%26%20B%21%0D%0A" in (await browser.get("/me")).text


async def test_friends_show_what_they_earned(database_url: str) -> None:
    """By unit, what waits marked. Milestones, and what was taken back, are not a friend's."""
    async with running(database_url) as service, open_shop(service) as shop:
        await shop.rule("joined", trigger="activated", amount=1100)
        await shop.rule("held", hold_days=14, unit="stars", amount=7)
        await shop.rule("visit", trigger="visit", amount=50)
        await shop.rule("three", trigger="activated", occurs={"at": 3}, amount=5000)
        await shop.rule("theirs", trigger="activated", beneficiary="invitee", amount=9)
        inviter, first = await shop.invite()
        (_, second), (_, third) = await shop.invite(inviter), await shop.invite(inviter)
        ok(await second.call("PATCH", "/profile", json={"name": "Boris <b> Ivanov"}))
        await shop.event("order", second)
        await shop.event("visit", third, type="visit")
        await shop.reverse("visit")
        service.clock.move(days=3)
        async with signed_in(service, inviter.phone) as browser:
            for path in ("/me", "/me/invitees"):
                page = (await browser.see(path)).replace(shop.tag, "")
                friends = text_of(page, r'(<ul class="rows people">.*?</ul>)').strip()
                rows = re.split(r" (?=\+7 999)| (?=Boris)", friends)
                assert [re.sub(r"^\+7[\d -]+?(?= \d day)", "", each).strip() for each in rows] == [
                    "3 days ago +1 100 points",
                    "Boris 3 days ago +1 100 points 7 stars on the way",
                    "3 days ago +1 100 points",
                ]
        assert first.phone != third.phone


async def test_an_inviter_sees_masked_phones(database_url: str) -> None:
    """On the pages, in the API and in the download; administrators see the whole number."""
    async with running(database_url, REFERRAL_INVITEE_SHOWN="masked") as service:
        inviter, admin = await service.sign_in("+79992223344"), await service.sign_in_admin()
        code, hidden = await inviter.invite_code(), "+79995556677"
        await service.sign_in(hidden, invite_code=code)
        masked = "+7********77"
        profile = await inviter.profile()
        assert profile["invitees"] == [masked]
        listed = ok(await inviter.call("GET", "/profile/invitees"))["items"]
        assert [each["phone"] for each in listed] == [masked]
        service.clock.move(seconds=3)
        signed = await service.sign_in(inviter.phone)
        assert (await signed.profile())["invitees"] == [masked]
        async with signed_in(service, inviter.phone) as browser:
            for path in ("/me", "/me/invitees"):
                assert masked in await browser.see(path)
                assert "999" not in text_of(await browser.see(path))
            data = json.loads((await browser.get("/me/data.json")).text)
            assert [each["phone"] for each in data["invitees"]] == [masked]
        listed = ok(await admin.call("GET", f"/users/{inviter.id()}/invitees"))["items"]
        assert [each["phone"] for each in listed] == [hidden]


async def test_the_page_says_how_many_invitations_are_left(database_url: str) -> None:
    """Once none is, it offers neither a goal nor a way to send the link."""
    async with (
        running(database_url, REFERRAL_INVITES_PER_USER="2") as service,
        open_shop(service) as shop,
        signed_in(service) as browser,
    ):
        await shop.rule("three", occurs={"at": 3}, trigger="activated")
        left = r'id="left">([^<]+)<'
        page = await browser.see("/me")
        code = found(r'id="my-code">(\w+)<', page)
        assert found(left, page) == "You can invite 2 more friends."
        assert "Invite 3 more friends" in page
        assert "t.me" in page
        await service.sign_in(invite_code=code)
        assert found(left, await browser.see("/me")) == "You can invite 1 more friend."
        await service.sign_in(invite_code=code)
        page = await browser.see("/me")
        assert found(left, page).startswith("Your invitations are used up")
        assert "more friend" not in page
        assert "t.me" not in page


async def test_a_person_without_a_name_is_asked_for_it(service: Service) -> None:
    """The link opens the field, which then has the focus; so does a refusal."""
    async with signed_in(service) as browser:
        page = await browser.see("/me")
        where = found(r'<a class="button" href="([^"]+)">Add my name<', page)
        page = await browser.see(where)
        assert page.count('<details class="row" open>') == 1
        assert re.search(r'<input id="name"[^>]* autofocus', page)
        assert page.count("autofocus") == 1
        page = await browser.submit_and_see("/me/account", email="a@b")
        assert re.search(r'<input id="email"[^>]* autofocus', page)
        page = await browser.submit_and_see("/me/account", name="Anna")
        assert page.count("autofocus") == 1
        assert re.search(r'tabindex="-1" autofocus role="status">Saved', page)
        assert "Add my name" not in await browser.see("/me")


async def test_what_a_friend_earns_is_promised(database_url: str) -> None:
    """By the rules for inviters that run now; without any, the page shows how to begin."""
    async with (
        running(database_url) as service,
        open_shop(service) as shop,
        signed_in(service) as browser,
    ):
        assert "everybody who joins by it appears below" in await browser.see("/me")
        await shop.rule("joined", trigger="activated", amount=1000)
        await shop.rule("bought", occurs="first", amount=20, unit="stars")
        await shop.rule("visit", trigger="visit", amount=5)
        await shop.rule("theirs", trigger="visit", beneficiary="invitee", amount=777)
        await shop.rule("later", trigger="visit", amount=888, **{"from": "2999-01-01T00:00:00Z"})
        page = (await browser.see("/me")).replace(shop.tag, "")
    promised = text_of(page, r'(<ul class="promises".*?</ul>)')
    for words in (
        "You get 1 000 points for each friend who joins",
        "You get 20 stars for each friend's first purchase",
        "You get 5 points for each visit of a friend",
    ):
        assert words in promised
    assert not re.search("777|888", promised)
    assert "appears below" not in page


async def test_a_hint_leads_to_the_field_for_an_invite_code(database_url: str) -> None:
    """As long as one may be activated."""
    async with running(database_url, REFERRAL_ACTIVATION_DAYS="1") as service:
        phone = new_phone()
        async with signed_in(service, phone) as browser:
            assert 'href="/me/account#inviter"' in await browser.see("/me")
            service.clock.move(days=2)
            assert 'href="/me/account#inviter"' not in await browser.see("/me")
        async with browsing(service) as browser:
            response = await browser.get("/me/account")
            assert response.headers["location"] == "/?next=/me/account"
