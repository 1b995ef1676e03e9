"""What an app says about the person and the language: hints and `ui_locales`."""

from __future__ import annotations

from pages import browsing, found, signed_in, value_of
from relying_party import (
    LOOPBACK,
    arrive,
    claims_of,
    leaving_to,
    open_sign_in,
    parameters_of,
    register,
    send_code,
)
from support import Service

PHONE, SPELT = "+79991234567", "+7 999 123-45-67"


async def test_login_hint_fills_in_the_phone(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url(login_hint="+7(999)1234567"))
        assert value_of(page, "phone") == SPELT
        page = await open_sign_in(browser, app.url(login_hint="anna@example.com"))
        assert value_of(page, "phone") == ""


async def test_login_hint_of_another_phone_lets_choose(service: Service) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        location = (await browser.get(app.url(login_hint=PHONE))).headers["location"]
        page = await browser.see(location)
        assert location.startswith("/oauth/continue?")
        assert 'name="user"' in page
        other = await browser.see(found(r'href="(/\?request=[^"]+)"', page))
        assert value_of(other, "phone") == SPELT
        back = await leaving_to(
            browser, await browser.enter_code(await browser.see(await send_code(browser, other)))
        )
    assert "code" in parameters_of(back)


async def test_login_hint_of_ones_own_phone_asks_nothing(service: Service) -> None:
    app = await register(service)
    async with signed_in(service) as browser:
        response = await browser.get(app.url(login_hint=browser.phone))
    assert "code" in parameters_of(response.headers["location"])


async def test_another_phone_is_not_filled_in(service: Service) -> None:
    """Somebody who signs in again finds their own."""
    app = await register(service)
    async with signed_in(service) as browser:
        page = await open_sign_in(browser, app.url(prompt="login"))
        assert value_of(page, "phone")
        location = (await browser.get(app.url(prompt="select_account"))).headers["location"]
        url = found(r'href="(/\?request=[^"]+)"', await browser.see(location))
        assert value_of(await browser.see(url), "phone") == ""


async def test_somebody_else_than_id_token_hint_is_never_sent_back(service: Service) -> None:
    """Not without a page, and not after another sign-in either."""
    app = await register(service)
    async with browsing(service) as other:
        hint = (await app.tokens(other))["id_token"]
    async with signed_in(service) as browser:
        silent = await browser.get(app.url(id_token_hint=hint, prompt="none"))
        assert parameters_of(silent.headers["location"])["error"] == "login_required"
        page = await open_sign_in(browser, app.url(id_token_hint=hint))
        assert "asks for somebody else" in page
        assert value_of(page, "phone") == ""
        url = await browser.enter_code(await browser.see(await send_code(browser, page)))
        while (response := await browser.get(url)).status_code == 303:
            url = response.headers["location"]
            assert url.startswith("/")
        assert "refresh" not in response.headers
        assert 'id="phone"' in response.text
        # The right person is
        service.clock.move(seconds=3)
        url = await send_code(browser, await browser.see(url), other.phone)
        back = await arrive(browser, url)
    tokens = (await app.exchange(parameters_of(back)["code"])).json()
    assert claims_of(tokens["id_token"])["sub"] == claims_of(hint)["sub"]


async def test_an_expired_id_token_hint_is_accepted(service: Service) -> None:
    """It only says who is meant (Core, section 3.1.2.2)."""
    app = await register(service)
    async with browsing(service) as browser:
        hint = (await app.tokens(browser))["id_token"]
        service.clock.move(hours=1)
        response = await browser.get(app.url(id_token_hint=hint, prompt="none"))
    assert "code" in parameters_of(response.headers["location"])


async def test_an_id_token_hint_of_another_app_is_refused(service: Service) -> None:
    app, other = await register(service), await register(service)
    async with browsing(service) as browser:
        hint = (await other.tokens(browser))["id_token"]
        response = await browser.get(app.url(id_token_hint=hint))
    assert parameters_of(response.headers["location"])["error"] == "invalid_request"


async def test_ui_locales_set_the_language_of_each_page(service: Service) -> None:
    """The first that the pages have; also of the message with the code."""
    app = await register(service)
    async with browsing(service) as browser:
        page = await open_sign_in(browser, app.url(ui_locales="xx-XX ru-RU en"))
        assert '<html lang="ru" ' in page
        url = await send_code(browser, page)
        assert "ваш код" in service.inbox.messages[-1].text
        page = await browser.see(url)
        assert '<html lang="ru" ' in page
        response = await browser.get(await browser.enter_code(page))
    assert '<html lang="ru" ' in response.text
    assert response.headers["content-language"] == "ru"


async def test_ui_locales_yield_to_the_language_chosen(service: Service) -> None:
    app = await register(service, redirect_uris=[LOOPBACK])
    async with signed_in(service) as browser:
        url = (await browser.get(app.url(ui_locales="ru"))).headers["location"]
        page = await browser.see(url)
        assert '<html lang="ru" ' in page
        next_path = found(r'name="next" value="([^"]+)"', page)
        await browser.submit("/language", next=next_path, language="en")
        assert '<html lang="en" ' in await browser.see(url)


async def test_ui_locales_without_a_known_language_are_ignored(service: Service) -> None:
    app = await register(service)
    async with browsing(service) as browser:
        for locales in ("se", "*", "ru;q=0", "<script>"):
            location = (await browser.get(app.url(ui_locales=locales))).headers["location"]
            response = await browser.get(location, **{"Accept-Language": "ru"})
            assert '<html lang="ru" ' in response.text, locales
