"""The pages over HTTP, as a browser without JavaScript uses them."""

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
    """A client that keeps cookies and sends Origin with forms. It follows no redirects."""

    def __init__(self, http: httpx.AsyncClient, phone: str) -> None:
        self.http = http
        self.phone = phone

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def see(self, path: str) -> str:
        """Return the HTML of a page, unescaped. Its status must be 200."""
        response = await self.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.headers}"
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        return unescape(response.text)

    async def submit(self, path: str, **fields: str) -> str:
        """Submit a form, and return the location that it redirects to."""
        headers = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
        response = await self.http.post(path, content=urlencode(fields), headers=headers)
        assert response.status_code == 303, f"{path}: {response.status_code} {response.text[-500:]}"
        location: str = response.headers["location"]
        return location

    async def submit_and_see(self, path: str, **fields: str) -> str:
        """Submit a form, and return the page that it redirects to."""
        return await self.see(await self.submit(path, **fields))

    async def sign_in(self, **more: str) -> str:
        """Sign in through the pages, and return the location of the last redirect."""
        page = await self.submit_and_see("/", phone=self.phone, **more)
        return await self.enter_code(page, "/code")

    async def enter_code(self, page: str, path: str | None = None) -> str:
        """Submit the code that the page shows while sending is simulated; return the location.

        path: where to, if not where the form says.
        """
        path = path or found(r'<form method="post" action="([^"]*code\?[^"]*)"', page)
        return await self.submit(path, **hidden_on(page), code=code_on(page))


@asynccontextmanager
async def browsing(service: Service, phone: str | None = None) -> AsyncIterator[Browser]:
    """Open a browser in which nobody is signed in."""
    transport = httpx.ASGITransport(cast("Any", service.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        yield Browser(http, phone or new_phone())


@asynccontextmanager
async def signed_in(service: Service, phone: str | None = None) -> AsyncIterator[Browser]:
    """Open a browser and sign in, by default as a new user."""
    async with browsing(service, phone) as browser:
        service.clock.move(seconds=3)  # the wait between two codes for a phone
        assert await browser.sign_in() == "/me"
        yield browser


async def reauthenticate(browser: Browser, path: str) -> str:
    """Submit the page "Is it you?" at this path and the code; return the location."""
    page = await browser.submit_and_see(
        path, next=found(r'name="next" value="([^"]+)">\n', await browser.see(path))
    )
    return await browser.enter_code(page, "/code")


def code_on(page: str) -> str:
    return found(r'id="simulated-code">(\d+)<', page)


def hidden_on(page: str) -> dict[str, str]:
    """Return the hidden fields of the form for a code."""
    form = found(r'(<form method="post" action="[^"]*code\?[^"]*">.*?</form>)', page)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))


def found(pattern: str, page: str) -> str:
    match = re.search(pattern, page, re.DOTALL)
    assert match is not None, f"{pattern} is not on {page[-3000:]}"
    return match[1]


def error_of(page: str, field: str) -> str:
    """Return the error beside a field, which must refer to it by aria-describedby."""
    assert re.search(rf'<input id="{field}"[^>]* aria-invalid="true"', page), page[-3000:]
    assert re.search(rf'<input id="{field}"[^>]* aria-describedby="{field}-error', page)
    return found(rf'id="{field}-error">([^<]+)<', page)


def notice_on(page: str) -> str:
    return found(r'role="status"[^>]*>([^<]+)<', page)


def reasons_on(page: str) -> dict[str, str]:
    """Return the reasons that confirmations have filled in, by the paths of their forms.

    Only the confirmations that are open have one.
    """
    asking = r'<details class="ask" open>.*?action="([^"?]*)[^"]*">.*?name="reason" value="([^"]*)"'
    return dict(re.findall(asking, page, re.DOTALL))


def value_of(page: str, field: str) -> str:
    return found(rf'<input id="{field}"[^>]* value="([^"]*)"', page)
