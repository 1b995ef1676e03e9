"""People who use the pages over HTTP, as a browser without a script would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any, cast
from urllib.parse import urlencode

import httpx

from support import Service, new_phone

ORIGIN = "http://127.0.0.1:8000"


class Browser:
    """Keeps cookies, and says where its forms stand. It follows no redirect by itself."""

    def __init__(self, http: httpx.AsyncClient, phone: str) -> None:
        self.http = http
        self.phone = phone

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def see(self, path: str) -> str:
        """The text of a page that is there."""
        answer = await self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.headers}"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        return unescape(answer.text)

    async def submit(self, path: str, **fields: str) -> str:
        """Send a form; answers where it leads."""
        headers = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
        answer = await self.http.post(path, content=urlencode(fields), headers=headers)
        assert answer.status_code == 303, f"{path}: {answer.status_code} {answer.text[-500:]}"
        where: str = answer.headers["location"]
        return where

    async def submit_and_see(self, path: str, **fields: str) -> str:
        """Send a form; answers the page where it leads."""
        return await self.see(await self.submit(path, **fields))

    async def sign_in(self, **more: str) -> str:
        """Through the pages; answers where that leads in the end."""
        page = await self.submit_and_see("/", phone=self.phone, **more)
        return await self.enter_code(page, "/code")

    async def enter_code(self, page: str, path: str) -> str:
        """Enter the code that a page shows while sending is simulated; answers where it leads."""
        return await self.submit(path, **hidden_on(page), code=code_on(page))


@asynccontextmanager
async def browsing(service: Service, phone: str | None = None) -> AsyncIterator[Browser]:
    """A browser of somebody who is not signed in."""
    transport = httpx.ASGITransport(cast("Any", service.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield Browser(http, phone or new_phone())


@asynccontextmanager
async def signed_in(service: Service, phone: str | None = None) -> AsyncIterator[Browser]:
    """A browser of somebody who is signed in, anew unless the phone is known."""
    async with browsing(service, phone) as browser:
        service.clock.move(seconds=3)  # the wait between two codes of a phone
        assert await browser.sign_in() == "/me"
        yield browser


async def confirmed(browser: Browser, path: str) -> str:
    """Through "Is it you?" at this path; answers where that leads in the end."""
    page = await browser.submit_and_see(
        path, next=found(r'name="next" value="([^"]+)">\n', await browser.see(path))
    )
    return await browser.enter_code(page, "/code")


def code_on(page: str) -> str:
    return found(r'id="simulated-code">(\d+)<', page)


def hidden_on(page: str) -> dict[str, str]:
    """What the form of a code carries."""
    form = found(r'(<form method="post" action="[^"]*code\?[^"]*">.*?</form>)', page)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))


def found(pattern: str, page: str) -> str:
    match = re.search(pattern, page, re.DOTALL)
    assert match is not None, f"{pattern} is not on {page[-3000:]}"
    return match[1]


def error_of(page: str, field: str) -> str:
    """What is wrong with a field, as said beside it."""
    assert re.search(rf'<input id="{field}"[^>]* aria-invalid="true"', page), page[-3000:]
    assert re.search(rf'<input id="{field}"[^>]* aria-describedby="{field}-error', page)
    return found(rf'id="{field}-error">([^<]+)<', page)


def notice_on(page: str) -> str:
    return found(r'role="status">([^<]+)<', page)


def value_of(page: str, field: str) -> str:
    return found(rf'<input id="{field}"[^>]* value="([^"]*)"', page)
