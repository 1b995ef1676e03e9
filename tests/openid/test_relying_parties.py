"""Server-rendered apps with Authlib and openid-client, as docs/integrate.md shows them."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Browser

import examples
from apps import MAX_AGE, REFRESH_SECONDS, shop, sign_in, sign_out_everywhere, trusting, visiting
from processes import environment
from provider import Provider
from support import new_phone

APPS = ("app.py", "app.mjs")
# What does not depend on the database
SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@SQLITE
def test_documented_registration(provider: Provider) -> None:
    """Its three commands print three ids and one secret."""
    file = examples.write("register.sh", provider.folder)
    file.write_text('referral() { python -m referral "$@"; }\n' + file.read_text())
    env = environment(provider.folder, **provider.settings, **trusting(provider))
    made = subprocess.run(
        ["sh", "-e", file], cwd=provider.folder, env=env, capture_output=True, text=True, check=True
    )
    names = [line.partition("=")[0] for line in made.stdout.splitlines()]
    assert names == ["client_id", "client_secret", "client_id", "client_id"]


@pytest.mark.parametrize("name", APPS)
async def test_server_rendered_app(
    name: str, provider: Provider, chromium: Browser, tmp_path: Path
) -> None:
    """It signs a person in, refreshes, asks for a fresh sign-in, and signs the person out."""
    phone = new_phone()
    with shop(name, provider, tmp_path) as origin:
        async with visiting(chromium, provider, origin) as session:
            await session.go(f"{origin}/")
            await session.submit("a")
            await sign_in(session, phone)
            await session.page.wait_for_url(f"{origin}/")
            assert await session.text("p") == f"Signed in as {phone}"
            await session.submit("form[action='/pay'] button")
            assert (await session.text()).startswith("Paid by ")

            await asyncio.sleep(MAX_AGE + 1)
            await session.go(f"{origin}/")
            tokens = provider.successes("/oauth/token")
            await session.submit("form[action='/pay'] button")
            assert provider.successes("/oauth/token") == tokens + 1, "no refresh"
            await sign_in(session, None)
            await session.page.wait_for_url(f"{origin}/")
            await session.submit("form[action='/pay'] button")
            assert (await session.text()).startswith("Paid by ")

            await session.go(f"{origin}/")
            await session.submit("form[action='/sign-out'] button")
            assert session.page.url.startswith(f"{origin}/")
            assert await session.text("a") == "Sign in"
            await session.go("/me")
            assert session.path() == "/", "still signed in on the pages"


@SQLITE
@pytest.mark.parametrize("name", APPS)
async def test_person_cancels_the_sign_in_to_an_app(
    name: str, provider: Provider, chromium: Browser, tmp_path: Path
) -> None:
    with shop(name, provider, tmp_path) as origin:
        async with visiting(chromium, provider, origin) as session:
            await session.go(f"{origin}/sign-in")
            await session.page.click("a[href^='/oauth/return?']")
            await session.page.wait_for_url(f"{origin}/")
            assert await session.text("a") == "Sign in"


@pytest.mark.parametrize("name", APPS)
async def test_app_notices_that_its_session_has_ended(
    name: str, provider: Provider, chromium: Browser, tmp_path: Path
) -> None:
    """Its next refresh fails, and it offers to sign in again."""
    phone = new_phone()
    with shop(name, provider, tmp_path) as origin:
        async with visiting(chromium, provider, origin) as session:
            await session.go(f"{origin}/sign-in")
            await sign_in(session, phone)
            await session.page.wait_for_url(f"{origin}/")
            await sign_out_everywhere(provider, phone)
            await asyncio.sleep(REFRESH_SECONDS)
            await session.submit("form[action='/pay'] button")
            assert session.page.url == f"{origin}/"
            assert await session.text("a") == "Sign in"
