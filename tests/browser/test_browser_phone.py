"""The phone field in a browser: formatting while one types, and the country beside it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from playwright.async_api import Browser, expect

from browser import NARROW, PHONE, BrowserSession, accessibility_violations, new_session
from referral.core import served_countries
from referral.core.phone import PhoneRules
from sites import reachable
from walks import digits

# The field does not depend on the database
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

# Argentina writes a 15 after the area code that the international form does not have
PLAIN = {"AR"}

# Their example numbers begin as those of the main region of their calling code
LIKE_THE_MAIN_REGION = {"AX", "IM", "SJ", "VA"}

# Type each number digit by digit in its country; return what the field and the select then show
_TYPE = """(numbers) => {
    const input = document.getElementById("phone"), select = document.getElementById("country");
    return numbers.map(([region, number]) => {
        input.value = "";
        select.value = region;
        select.dispatchEvent(new Event("change"));
        for (const each of number) {
            input.value += each;
            input.dispatchEvent(new InputEvent("input", { inputType: "insertText", data: each }));
        }
        return [input.value, select.value];
    });
}"""
# Edit at random places; return each change of the digits, or of the place of the caret among them
_EDIT = """(seed) => {
    const input = document.getElementById("phone"), select = document.getElementById("country");
    const random = (limit) => {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        return Math.floor(seed / 65536) % limit;
    };
    const bare = (text) => text.replace(/[^0-9+]/g, ""), faults = [];
    input.focus();
    for (let round = 0; round < 3000; round++) {
        if (round % 20 === 0) {
            select.selectedIndex = random(select.options.length);
            input.value = "";
            select.dispatchEvent(new Event("change"));
        }
        const at = random(input.value.length + 1);
        const to = Math.min(input.value.length, at + random(3));
        const added = ["", "7", "0", "49", " ", "(", "1", "8", "555-12", "+"][random(10)];
        if (added === "+" && at > 0 || bare(input.value).startsWith("+") && at === 0) continue;
        const deletes = ["deleteContentBackward", "deleteContentForward"][random(2)];
        const type = added ? "insertFromPaste" : deletes;
        input.setRangeText(added, at, to, "end");
        const text = input.value, caret = input.selectionStart;
        input.dispatchEvent(new InputEvent("input", { inputType: type, data: added }));
        if (bare(input.value) !== bare(text)) faults.push(`${text} became ${input.value}`);
        const before = bare(text.slice(0, caret));
        const after = bare(input.value.slice(0, input.selectionStart));
        if (before !== after) faults.push(`${text}: from after ${before} to after ${after}`);
    }
    return faults;
}"""


@pytest.fixture
async def session(chromium: Browser, database_url: str) -> AsyncIterator[BrowserSession]:
    async with reachable(database_url) as (_, site), new_session(chromium, site) as opened:
        yield opened


async def test_every_country_is_formatted_as_it_writes_phones(session: BrowserSession) -> None:
    """Nationally, or in its international form if the number begins with +.

    A few stay in plain groups: what is written nationally there has other digits. The select
    follows a number with +.
    """
    typed, expected = [], []
    for region in sorted(served_countries.regions(PhoneRules())):
        number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
        assert number is not None
        for form in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL):
            shown = phonenumbers.format_number(number, form)
            typed.append((region, "".join(each for each in shown if each in "+0123456789")))
            expected.append(shown)
    await session.go("/")
    results = await session.page.evaluate(_TYPE, typed)
    assert [digits(text) for text, _ in results] == [digits(number) for _, number in typed]
    other = [
        (region, text, shown)
        for (region, _), (text, _), shown in zip(typed, results, expected, strict=True)
        if text != shown
    ]
    assert {region for region, _, _ in other} <= PLAIN, other
    elsewhere = {
        region for (region, _), (_, chosen) in zip(typed, results, strict=True) if chosen != region
    }
    assert elsewhere <= LIKE_THE_MAIN_REGION


async def test_caret_stays_at_its_digit_and_no_digit_changes(session: BrowserSession) -> None:
    await session.go("/")
    seed = secrets.randbelow(2**31)
    assert not await session.page.evaluate(_EDIT, seed), f"seed {seed}"


async def test_typing_deleting_pasting_and_undoing(session: BrowserSession) -> None:
    """With real keys, and without a request to the server."""
    page = session.page
    await session.go("/")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    field, country = page.locator("#phone"), page.locator("#country")
    await country.select_option("RU")
    await field.press_sequentially("99912345")
    await expect(field).to_have_value("999 123-45")
    # In the middle
    for _ in range(3):
        await field.press("ArrowLeft")
    await field.press("Backspace")
    await expect(field).to_have_value("999 124-5")
    await field.press("3")
    await expect(field).to_have_value("999 123-45")
    assert await caret(session) == len("999 123")
    # Forward over punctuation, which comes back; then the digit after it
    await field.press("Delete")
    assert await caret(session) == len("999 123-")
    await field.press("Delete")
    await expect(field).to_have_value("999 123-5")
    # Undone step by step, until nothing is left to undo
    for _ in range(30):
        await field.press("Control+z")
    await expect(field).to_have_value("")
    await field.press_sequentially("999 (")
    await expect(field).to_have_value("999 (")
    await field.press_sequentially("1")
    await expect(field).to_have_value("999 1")
    # A number with + chooses its country, and a chosen country replaces the country code
    await field.fill("+77010001234")
    await expect(field).to_have_value("+7 701 000 1234")
    await expect(country).to_have_value("KZ")
    await country.select_option("UA")
    assert (await field.input_value()).startswith("+380 ")
    # As browsers fill in what they have saved
    await page.evaluate(
        """() => {
            const input = document.getElementById("phone");
            input.blur();
            input.value = "+16502530000";
            input.dispatchEvent(new Event("input", { bubbles: true }));
            input.dispatchEvent(new Event("change", { bubbles: true }));
        }"""
    )
    await expect(field).to_have_value("+1 650-253-0000")
    await expect(country).to_have_value("US")
    # Other digits are the server's to read, and letters to refuse
    for text in ("۰۷۰۱ ۰۰۰", "٠٧٠١", "12a"):
        await field.fill(text)
        await expect(field).to_have_value(text)
    assert not [url for url in requests if "/static/" not in url]


async def test_error_is_on_the_screen_and_its_field_focused(
    chromium: Browser, database_url: str
) -> None:
    async with reachable(database_url, REFERRAL_OFFER="One coffee. " * 15) as (service, site):
        invite_code = await (await service.sign_in()).invite_code()
        for device in (PHONE, NARROW):
            async with new_session(chromium, site, device=device, language="ru-RU") as session:
                await session.go(f"/i/{invite_code}")
                await submit(session, "RU", "12")
                await in_view(session, "#phone-error")
                assert await focused(session) == "phone"
                assert not await accessibility_violations(session.page)
                assert not await session.layout_shifts()


async def caret(session: BrowserSession) -> int:
    place: int = await session.page.evaluate("document.getElementById('phone').selectionStart")
    return place


async def focused(session: BrowserSession) -> str:
    name: str = await session.page.evaluate("document.activeElement.id")
    return name


async def submit(session: BrowserSession, country: str, phone: str) -> None:
    await session.page.select_option("#country", country)
    await session.page.fill("#phone", phone)
    await session.submit("main button.main")


async def in_view(session: BrowserSession, selector: str) -> None:
    box: Any = await session.page.locator(selector).bounding_box()
    size: Any = session.page.viewport_size
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= size["height"]
