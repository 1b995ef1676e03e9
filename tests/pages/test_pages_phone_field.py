"""The country and the number in the phone field, without JavaScript."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest

from pages import browsing, code_on, error_of, found, signed_in, value_of
from support import Inbox, Service, new_phone, running

NATIONAL = "This is not a phone number. Check the country and every digit."
NO_COUNTRY = "Choose the country of this number, or write it with + and its code."
DIGITS = "This is not a phone number. Check every digit."


def options(page: str) -> list[str]:
    return re.findall(r"<option value=\w\w(?: selected)?>(.*)", page)


def selected(page: str) -> str:
    """Return the selected region; empty if a country is still to be chosen."""
    assert page.count(" selected>") <= 1
    match = re.search(r"<option value=(\w\w) selected>", page)
    assert match or '<option value="">Choose a country' in page
    return match[1] if match else ""


@pytest.mark.parametrize(
    ("languages", "region", "typed", "phone"),
    [
        ("ru-RU,ru;q=0.9", "RU", "8 (999) 123-45-67", "+7 999 123-45-67"),
        ("ru_RU", "RU", "9991234567", "+7 999 123-45-67"),
        ("en-US", "US", "(201) 555-0123", "+1 201-555-0123"),
        ("kk", "KZ", "701 000 1234", "+7 701 000 1234"),
        ("en", "", "+44 7400 123456", "+44 7400 123456"),
    ],
)
async def test_country_is_that_of_the_browser(
    service: Service, languages: str, region: str, typed: str, phone: str
) -> None:
    """And a form without a country, which an earlier release showed, is read in it."""
    async with browsing(service) as browser:
        browser.http.headers["Accept-Language"] = languages
        assert selected(await browser.see("/")) == region
        page = await browser.submit_and_see("/", phone=typed)
        assert f">{phone}</bdi>" in page
    # The API does not use the browser's language
    sent = await service.http.post(
        "/api/v1/auth/send-code",
        json={"phone": "8 (999) 123-45-67"},
        headers={"Accept-Language": languages},
    )
    assert sent.status_code == 400


async def test_number_belongs_to_the_chosen_country(service: Service) -> None:
    """A country code in the number wins; a refused number is shown with its country again."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", country="FR", phone="06 12 34 56 78")
        assert ">+33 6 12 34 56 78</bdi>" in page
        page = await browser.submit_and_see("/", country="FR", phone="+49 1512 3456789")
        assert ">+49 1512 3456789</bdi>" in page
        page = await browser.submit_and_see("/", country="FR", phone="12")
        assert (error_of(page, "phone"), value_of(page, "phone")) == (NATIONAL, "12")
        assert selected(page) == "FR"
        assert re.search(r'<input id="phone"[^>]* autofocus>', page)
        page = await browser.submit_and_see("/", country="", phone="0612345678")
        assert found(r'id="country-error">([^<]+)<', page) == NO_COUNTRY
        assert re.search(r'<select id="country"[^>]* aria-invalid="true"[^>]* autofocus>', page)
        assert page.count(" autofocus") == 1
        page = await browser.submit_and_see("/", country="FR", phone="+7 701")
        assert error_of(page, "phone") == DIGITS
        for country in ("XX", 9000 * "x", "<b>"):
            assert NATIONAL in await browser.submit_and_see("/", country=country, phone="701000")


async def test_phone_comes_back_with_its_country(service: Service) -> None:
    """In the tab that goes back from the page of the code; other tabs keep the country only."""
    async with browsing(service) as browser:
        page = await browser.submit_and_see("/", country="KZ", phone="8 701 000 12 34")
        back = found(r'<a href="([^"]+)">Another number', page)
        page = await browser.see(back)
        assert (value_of(page, "phone"), selected(page)) == ("+7 701 000 1234", "KZ")
        page = await browser.see("/")
        assert (value_of(page, "phone"), selected(page)) == ("", "KZ")
    async with signed_in(service) as browser:
        page = await browser.submit_and_see("/me/phone", country="FR", phone="06 12 34 56 78")
        back = found(r'<a href="([^"]+)">Another number', page)
        page = await browser.see(back)
        assert (value_of(page, "phone"), selected(page)) == ("+33 6 12 34 56 78", "FR")
        assert error_of(
            await browser.submit_and_see("/me/phone", country="FR", phone="1"), "phone"
        ) == (NATIONAL)


async def test_only_served_countries_can_be_chosen(database_url: str) -> None:
    """In the language's order; the default region is preset if it is served."""
    async with running(
        database_url, REFERRAL_COUNTRIES_ALLOWED="RU,KZ,AM", REFERRAL_DEFAULT_REGION="KZ"
    ) as service:
        for language, names in (
            ("en", ["Armenia \u200e+374", "Kazakhstan \u200e+7", "Russia \u200e+7"]),
            ("ru", ["Армения \u200e+374", "Казахстан \u200e+7", "Россия \u200e+7"]),
        ):
            page = unescape((await get(service, language)).text)
            assert (options(page), selected(page)) == (names, "KZ")
        async with browsing(service) as browser:
            page = await browser.submit_and_see("/", country="FR", phone="06 12 34 56 78")
            assert selected(page) == "KZ"


async def test_single_country_is_not_a_choice(database_url: str) -> None:
    only = running(database_url, REFERRAL_COUNTRIES_ALLOWED="KZ")
    async with only as service, browsing(service) as browser:
        page = await browser.see("/")
        assert "<select" not in page
        assert '<span class="unseen">Kazakhstan </span>+7</span>' in page
        page = await browser.submit_and_see("/", phone="701")
        assert error_of(page, "phone") == DIGITS
        page = await browser.submit_and_see("/", phone="701 000 1234")
        assert ">+7 701 000 1234</bdi>" in page


async def test_code_page_says_how_long_and_what_to_do(database_url: str) -> None:
    """Without a script: for how long from now, then that it is too old, and the next step."""
    async with running(database_url) as service, browsing(service) as browser:
        # Whole seconds count: half a second later, the first one is over
        service.clock.freeze(service.clock().replace(microsecond=600_000))
        where = await browser.submit("/", phone=new_phone())
        for move, said in ((0.5, "1 minute"), (70, "49 seconds"), (48, "1 second")):
            service.clock.move(seconds=move)
            page = await browser.see(where)
            assert re.search(rf"<noscript>.*The code is good for {said}\.", page, re.DOTALL)
            assert 'id="go-on" class="main"' in page
        service.clock.move(seconds=2)
        page = await browser.see(where)
        assert "This code has expired. Ask for a new one." in page
        assert "The code is good for" not in page
        assert '<button class="main" id="again"' in page
        assert 'id="go-on" class="main"' not in page


async def test_code_page_helps_if_nothing_arrives(database_url: str) -> None:
    """Only if a message was sent, and support only where there is any."""
    for support in ("", "https://help.example/"):
        variables = {"REFERRAL_SUPPORT_URL": support} if support else {}
        real = running(database_url, inbox=Inbox(echoes_code=False), **variables)
        async with real as service, browsing(service) as browser:
            page = await browser.submit_and_see("/", phone=new_phone())
            back = found(r'<a href="([^"]+)">Another number', page)
            assert f'<a href="{back}">change the number</a>' in page
            assert (f'<a href="{support}">Ask support' in page) is bool(support)
    async with running(database_url) as service, browsing(service) as browser:
        page = await browser.submit_and_see("/", phone=new_phone())
        assert code_on(page)
        assert "Nothing arrived?" not in page


async def get(service: Service, language: str) -> httpx.Response:
    return await service.http.get("/", headers={"Accept-Language": language})
