"""A single-page app and an app on a computer, as docs/integrate.md shows them: public clients."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

from playwright.async_api import Browser

import examples
from apps import sign_in, sign_out_everywhere, single_page, trusting, visiting
from examples import PUBLIC
from processes import environment, free_port
from provider import Provider
from support import new_phone

NATIVE = """
import time
app = sign_in()
print(phone(app), flush=True)
time.sleep(4)  # until Authlib refreshes
before = app.token["access_token"]
print(phone(app), app.token["access_token"] != before, flush=True)
sign_out(app)
print(app.get(provider["userinfo_endpoint"]).status_code, flush=True)
"""


async def test_single_page_app(provider: Provider, chromium: Browser, tmp_path: Path) -> None:
    """It is of another origin, renews its tokens with CORS, and signs the person out."""
    phone = new_phone()
    with single_page(provider, tmp_path) as origin:
        async with visiting(chromium, provider, origin) as session:
            await session.go(f"{origin}/")
            await session.submit("#sign-in")
            await sign_in(session, phone)
            await session.page.get_by_text(f"Signed in as {phone}").wait_for()
            tokens = provider.successes("/oauth/token")
            async with session.page.expect_response(f"{provider.url}/oauth/token") as renewed:
                pass
            assert (await renewed.value).status == 200
            assert provider.successes("/oauth/token") > tokens

            await session.page.reload()
            await session.page.get_by_text(f"Signed in as {phone}").wait_for()
            await session.submit("#sign-out")
            await session.page.wait_for_url(f"{origin}/**")
            await session.page.locator("#sign-in:visible").wait_for()
            await session.go("/me")
            assert session.path() == "/", "still signed in on the pages"


async def test_single_page_app_notices_that_its_session_has_ended(
    provider: Provider, chromium: Browser, tmp_path: Path
) -> None:
    """Its next renewal fails, and it offers to sign in again."""
    phone = new_phone()
    with single_page(provider, tmp_path) as origin:
        async with visiting(chromium, provider, origin, expected=[400, 404]) as session:
            await session.go(f"{origin}/")
            await session.submit("#sign-in")
            await sign_in(session, phone)
            await session.page.get_by_text(f"Signed in as {phone}").wait_for()
            await sign_out_everywhere(provider, phone)
            await session.page.locator("#sign-in:visible").wait_for()


async def test_single_page_app_cannot_renew_in_an_iframe(
    provider: Provider, chromium: Browser, tmp_path: Path
) -> None:
    """Without a refresh token the library tries, and the pages do not get their cookies."""
    with single_page(provider, tmp_path, **{" offline_access": ""}) as origin:
        async with visiting(chromium, provider, origin) as session:
            await session.go(f"{origin}/")
            await session.submit("#sign-in")
            async with session.page.expect_request(
                lambda request: "prompt=none" in request.url
            ) as renewal:
                await sign_in(session, new_phone())
            response = await (await renewal.value).response()
            assert response is not None
            assert "error=login_required" in response.headers["location"]
            await session.page.locator("#sign-in:visible").wait_for()


async def test_app_on_a_computer(provider: Provider, chromium: Browser, tmp_path: Path) -> None:
    """It listens on a free port of 127.0.0.1, and opens the browser that the person uses."""
    phone = new_phone()
    options = ("--public", "--redirect-uri", "http://127.0.0.1/callback")
    client = provider.register(f"Computer {free_port()}", *options)
    file = examples.write("native.py", tmp_path, **{PUBLIC: provider.url})
    file.write_text(file.read_text() + NATIVE)
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    env = environment(tmp_path, **trusting(provider), **client, BROWSER=f"{browser} %s")
    process = await asyncio.create_subprocess_exec(
        sys.executable, file, cwd=tmp_path, env=env, stdout=asyncio.subprocess.PIPE
    )
    try:
        url = await asyncio.to_thread(content_of, opened)
        origin = re.sub(r".*redirect_uri=http%3A%2F%2F(.*?)%3A(\d+).*", r"http://\1:\2", url)
        async with visiting(chromium, provider, origin) as session:
            await session.go(url)
            await sign_in(session, phone)
            await session.page.get_by_text("You can close this page.").wait_for()
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert output.decode().split() == [phone, phone, "True", "401"]


def content_of(file: Path) -> str:
    """Wait for a file that a program writes."""
    for _ in range(400):
        if file.exists():
            return file.read_text().strip()
        time.sleep(0.05)
    raise AssertionError(f"{file} was not written")
