"""The code page with several channels: where it says the code went, and a button for each other."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from html import unescape

import pytest

from channels import Providers
from fake_gateways import code_in
from pages import Browser, browsing, found, hidden_on, notice_on
from referral.core.channels import Channel
from referral.http.pages import channel_buttons
from support import Inbox, Service, new_phone, running

TELEGRAM_FIRST = {"REFERRAL_CHANNELS": "telegram,sms"}
SENT = "A new code is on its way. Use the newest one."


@pytest.fixture
async def service(database_url: str, fakes: Providers) -> AsyncIterator[Service]:
    """A service that sends by every channel, Telegram first; SMS arrive in its inbox."""
    inbox = Inbox(echoes_code=False)
    async with running(database_url, inbox=inbox, **fakes.variables, **TELEGRAM_FIRST) as started:
        yield started


def lead_on(page: str) -> str:
    """Return where the page says the code went, without the phone and the link."""
    text = re.sub(r"<a .*?</a>|<[^>]*>", "", found(r'<p class="lead">(.*?)</p>', page))
    return re.sub(r"\+[\d -]*\d", "PHONE", " ".join(text.split()))


def buttons_on(page: str) -> dict[str, str]:
    """Return the labels of the buttons for other channels, by their values."""
    pattern = r'<button name="channel" value="([^"]*)"[^>]*>([^<]*)</button>'
    return dict(re.findall(pattern, page))


def help_on(page: str) -> str:
    return found(r'<details class="help">(.*?)</details>', page)


def error_on(page: str) -> str:
    """Return why the button was refused, which the first button must refer to."""
    assert 'aria-describedby="again-error"' in page
    return found(r'id="again-error"[^>]*>([^<]+)<', page)


def offered_on(page: str) -> dict[str, str]:
    """Return the hidden field of a form for a phone after a failure."""
    return {"others": found(r'name="others" value="([^"]*)"', page)}


async def send_again(browser: Browser, page: str, **fields: str) -> str:
    """Submit the form for another code, and return the page that it leads to."""
    return await browser.submit_and_see(
        unescape(found(r'action="([^"]*/again[^"]*)"', page)), **hidden_on(page), **fields
    )


async def enter(browser: Browser, page: str, code: str) -> str:
    path = unescape(found(r'<form method="post" action="([^"]*code\?[^"]*)"', page))
    return await browser.submit(path, **hidden_on(page), code=code)


def heard(fakes: Providers) -> str:
    """Return the code that the last call read aloud."""
    says = re.findall(r">([^<]*)</Say>", fakes.voice.forms[-1]["Twiml"])
    return "".join(each for each in says[: len(says) // 2] if each.isdigit())


async def test_page_says_by_which_channel_it_went(service: Service, fakes: Providers) -> None:
    """It has a button for each other one, in a group with a name, and help that fits."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        assert lead_on(page) == "We sent it by Telegram to PHONE."
        assert buttons_on(page) == {"sms": "SMS", "whatsapp": "WhatsApp", "voice": "Call me"}
        group = found(r"<fieldset[^>]*>(.*?)</fieldset>", page)
        assert found(r"<legend>([^<]+)</legend>", group) == "Get it another way"
        assert buttons_on(group) == buttons_on(page)
        assert "Telegram's own account: <bdi>Verification Codes</bdi>." in help_on(page)
        assert "or get it another way" in help_on(page)
        assert "Look at your SMS too" in help_on(page)
        assert await enter(browser, page, fakes.telegram.jsons[-1]["code"]) == "/me"


async def test_each_button_sends_by_its_channel(service: Service, fakes: Providers) -> None:
    """The newest code then works, and the present channel has no button."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        page = await send_again(browser, page, channel="whatsapp")
        assert (lead_on(page), notice_on(page)) == ("We sent it by WhatsApp to PHONE.", SENT)
        assert list(buttons_on(page)) == ["telegram", "sms", "voice"]
        assert "Verification Codes" not in page
        page = await send_again(browser, page, channel="sms")
        assert (lead_on(page), notice_on(page)) == ("We sent it to PHONE.", SENT)
        assert list(buttons_on(page)) == ["telegram", "whatsapp", "voice"]
        assert "SMS too" not in help_on(page)
        page = await send_again(browser, page, channel="voice")
        assert lead_on(page) == "We are calling PHONE to read it to you."
        assert list(buttons_on(page)) == ["telegram", "sms", "whatsapp"]
        assert "Answer the call" in help_on(page)
        assert "A message can take a minute" not in help_on(page)
        assert fakes.received == {"telegram": 1, "whatsapp": 1, "voice": 1}
        assert len(service.inbox.messages) == 1
        assert await enter(browser, page, heard(fakes)) == "/me"


async def test_earlier_page_still_takes_its_code(service: Service, fakes: Providers) -> None:
    """Somebody asks for an SMS, and the message in Telegram arrives before it."""
    async with browsing(service) as browser:
        first = await browser.submit_and_see("/", phone=browser.phone)
        await send_again(browser, first, channel="sms")
        assert await enter(browser, first, fakes.telegram.jsons[-1]["code"]) == "/me"


@pytest.mark.parametrize("channel", ["telegram", "sms", "voice"])
async def test_send_a_new_code_repeats_the_channel(
    service: Service, fakes: Providers, channel: str
) -> None:
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        if channel != "telegram":
            page = await send_again(browser, page, channel=channel)
        label = "Call again" if channel == "voice" else "Send a new code"
        assert found(r'id="again".*?<span>([^<]+)<', page) == label
        assert f"{label} in <span data-left>" in page
        before = fakes.received | {"sms": len(service.inbox.messages)}
        again = await send_again(browser, page)
        assert lead_on(again) == lead_on(page)
        after = fakes.received | {"sms": len(service.inbox.messages)}
        assert after == before | {channel: before[channel] + 1}


@pytest.mark.parametrize("channel", ["", "fax", "Telegram", "telegram,sms", "x" * 5000, "\u0660"])
async def test_unknown_channel_is_refused(service: Service, fakes: Providers, channel: str) -> None:
    """Nothing is sent, and the code that was sent stays valid."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        page = await send_again(browser, page, channel=channel)
        assert error_on(page) == "We cannot send the code this way. Choose another one."
        assert list(buttons_on(page)) == ["sms", "whatsapp", "voice"]
        assert fakes.received == {"telegram": 1}
        assert service.inbox.messages == []
        assert await enter(browser, page, fakes.telegram.jsons[-1]["code"]) == "/me"


async def test_nobody_is_called_an_hour_after_a_message(service: Service, fakes: Providers) -> None:
    """The page says what to do; a message makes a call possible again."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        service.clock.move(minutes=61)
        page = await send_again(browser, page, channel="voice")
        assert error_on(page) == (
            "We only call within an hour after a message. Ask for a message first."
        )
        assert lead_on(page) == "We sent it by Telegram to PHONE."
        assert fakes.received == {"telegram": 1}
        page = await send_again(browser, page, channel="sms")
        page = await send_again(browser, page, channel="voice")
        assert fakes.received == {"telegram": 1, "voice": 1}
        # The same if the call is to be repeated
        service.clock.move(minutes=61)
        page = await send_again(browser, page)
        assert "Ask for a message first" in error_on(page)


async def test_buttons_share_the_wait(database_url: str, fakes: Providers) -> None:
    """One that is pressed too early, without JavaScript, says when it is time."""
    waits = {"REFERRAL_RESEND_WAITS": "30"}
    inbox = Inbox(echoes_code=False)
    async with (
        running(database_url, inbox=inbox, **fakes.variables, **waits) as service,
        browsing(service) as browser,
    ):
        page = await browser.submit_and_see("/", phone=browser.phone)
        for channel in ("telegram", "voice"):
            page = await send_again(browser, page, channel=channel)
            assert "We cannot send another code yet. Try again in" in error_on(page)
            assert lead_on(page) == "We sent it to PHONE."
        assert fakes.received == {}
        service.clock.move(seconds=31)
        page = await send_again(browser, page, channel="telegram")
        assert lead_on(page) == "We sent it by Telegram to PHONE."
        assert fakes.received == {"telegram": 1}


async def test_buttons_for_a_new_phone(service: Service, fakes: Providers) -> None:
    """A change of phone has the same page."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        await enter(browser, page, fakes.telegram.jsons[-1]["code"])
        page = await browser.submit_and_see("/me/phone", phone=new_phone())
        assert lead_on(page) == "We sent it by Telegram to PHONE."
        page = await send_again(browser, page, channel="fax")
        assert "Choose another one" in error_on(page)
        page = await send_again(browser, page, channel="voice")
        assert lead_on(page) == "We are calling PHONE to read it to you."
        assert notice_on(page) == SENT
        page = await send_again(browser, page)
        assert await enter(browser, page, heard(fakes)) == "/me/account"
        assert fakes.received == {"telegram": 2, "voice": 2}


async def test_buttons_when_signing_in_again(service: Service, fakes: Providers) -> None:
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        await enter(browser, page, fakes.telegram.jsons[-1]["code"])
        service.clock.move(minutes=16)
        page = await browser.submit_and_see("/again", next="/me/phone")
        page = await send_again(browser, page, channel="sms")
        assert lead_on(page) == "We sent it to PHONE."
        code = code_in(service.inbox.messages[-1].text)
        assert await enter(browser, page, code) == "/me/phone"


async def test_phone_entered_twice_keeps_the_channel(database_url: str, fakes: Providers) -> None:
    """Somebody who comes back to the code page sees the same buttons."""
    inbox = Inbox(echoes_code=False)
    variables = {**fakes.variables, **TELEGRAM_FIRST, "REFERRAL_RESEND_WAITS": "30"}
    async with (
        running(database_url, inbox=inbox, **variables) as service,
        browsing(service) as browser,
    ):
        for _ in range(2):
            page = await browser.submit_and_see("/", phone=browser.phone)
            assert lead_on(page) == "We sent it by Telegram to PHONE."
            assert list(buttons_on(page)) == ["sms", "whatsapp", "voice"]
        assert fakes.received == {"telegram": 1}


async def test_channel_that_was_removed(database_url: str, fakes: Providers) -> None:
    """Its button on an old page is refused; a new code goes by another channel."""
    inbox = Inbox(echoes_code=False)
    async with (
        running(database_url, inbox=inbox, **fakes.variables, **TELEGRAM_FIRST) as service,
        browsing(service) as browser,
    ):
        old = await browser.submit_and_see("/", phone=browser.phone)
    async with (
        running(database_url, inbox=inbox) as service,
        browsing(service, browser.phone) as browser,
    ):
        for channel in ("voice", "whatsapp"):
            page = await send_again(browser, old, channel=channel)
            assert "Choose another one" in error_on(page)
        page = await send_again(browser, old)
        assert lead_on(page) == "We sent it to PHONE."
        assert buttons_on(page) == {}
        assert await enter(browser, page, code_in(inbox.messages[-1].text)) == "/me"


async def test_one_channel_has_no_buttons(database_url: str) -> None:
    inbox = Inbox(echoes_code=False)
    async with running(database_url, inbox=inbox) as service, browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        assert lead_on(page) == "We sent it to PHONE."
        assert "<fieldset" not in page
        assert "another way" not in page
        page = await send_again(browser, page)
        assert (lead_on(page), notice_on(page)) == ("We sent it to PHONE.", SENT)


async def test_code_that_was_sent_before_an_upgrade(service: Service) -> None:
    """Its cookie names no channels: it was an SMS."""
    old = b'{"token":"t","phone":"+79991234567","code_length":4,"expires_at":1,"resend_at":1}'
    async with browsing(service) as browser:
        browser.http.cookies.set("sign_in-00000000", urlsafe_b64encode(old).decode().rstrip("="))
        page = await browser.see("/code?tab=00000000")
        assert lead_on(page) == "We sent it to PHONE."
        assert buttons_on(page) == {}


async def test_preview_shows_the_channels_of_the_settings(
    database_url: str, fakes: Providers
) -> None:
    async with running(database_url, inbox=None, **fakes.variables, **TELEGRAM_FIRST) as service:
        admin = await service.sign_in_admin()
        async with browsing(service) as browser:
            browser.http.cookies.set("access", admin.tokens["access_token"])
            page = await browser.see("/admin/look/code")
        assert lead_on(page) == "We sent it by Telegram to PHONE."
        assert list(buttons_on(page)) == ["sms", "whatsapp", "voice"]


def test_every_channel_has_a_button() -> None:
    assert set(channel_buttons.LABELS) == set(Channel), "add its label in channel_buttons.py"


async def test_a_failure_offers_the_other_channels(service: Service, fakes: Providers) -> None:
    """Also once the form was refused again, with the phone still filled in."""
    fakes.telegram.default_response = (500, {})
    async with browsing(service) as browser:
        assert buttons_on(await browser.see("/")) == {}
        page = await browser.submit_and_see("/", phone=browser.phone)
        assert "The message could not be sent." in page
        assert buttons_on(page) == {"sms": "SMS", "whatsapp": "WhatsApp"}
        page = await browser.submit_and_see("/", **offered_on(page), phone=browser.phone)
        assert buttons_on(page) == {"sms": "SMS", "whatsapp": "WhatsApp"}
        page = await browser.submit_and_see(
            "/", **offered_on(page), phone=browser.phone, channel="fax"
        )
        assert "We cannot send the code this way. Choose another one." in page
        assert buttons_on(page) == {"sms": "SMS", "whatsapp": "WhatsApp"}
        service.clock.move(minutes=2)
        page = await browser.submit_and_see(
            "/", **offered_on(page), phone=browser.phone, channel="whatsapp"
        )
        assert lead_on(page) == "We sent it by WhatsApp to PHONE."
        assert (fakes.received, service.inbox.messages) == ({"telegram": 2, "whatsapp": 1}, [])


async def test_a_failed_change_of_phone_offers_the_other_channels(
    service: Service, fakes: Providers
) -> None:
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=browser.phone)
        await enter(browser, page, fakes.telegram.jsons[-1]["code"])
        fakes.telegram.default_response = (500, {})
        form = {"phone": new_phone()}
        page = await browser.submit_and_see("/me/phone", **form)
        assert buttons_on(page) == {"sms": "SMS", "whatsapp": "WhatsApp"}
        service.clock.move(minutes=2)
        page = await browser.submit_and_see("/me/phone", **offered_on(page), **form, channel="sms")
        assert lead_on(page).startswith("We sent it to PHONE.")
