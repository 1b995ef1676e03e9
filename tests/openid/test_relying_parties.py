"""Apps with the libraries that people use, as docs/integrate.md shows them, in a real browser."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser

import examples
import provider as providers
from browser import BrowserSession, new_session
from examples import PUBLIC
from processes import environment, free_port, new_database
from provider import NODE, NODE_MODULES, Provider
from support import new_phone
from walks import ask_for_code, enter, shown_code

API_AUDIENCE = "https://api.shop.example.com"
# The age of a sign-in from which the backend asks for a new one
MAX_AGE = 5
APPS = ("app.py", "app.mjs")


@pytest.fixture(scope="module")
async def provider(
    database_kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Provider]:
    folder = tmp_path_factory.mktemp("provider")
    url = await new_database(database_kind, folder, request)
    with providers.providing(folder, url) as started:
        yield started


def test_documented_registration(provider: Provider) -> None:
    """Its three commands print three ids and one secret."""
    file = examples.write("register.sh", provider.folder)
    file.write_text('referral() { python -m referral "$@"; }\n' + file.read_text())
    env = environment(provider.folder, **provider.settings, **providers.trusting(provider))
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


async def test_single_page_app(provider: Provider, chromium: Browser, tmp_path: Path) -> None:
    """It is of another origin, renews its tokens with CORS, and signs the person out."""
    port, phone = free_port(), new_phone()
    origin = f"http://localhost:{port}"
    options = ("--redirect-uri", f"{origin}/", "--post-logout-redirect-uri", f"{origin}/")
    client = provider.register(f"Online {port}", "--public", *options)
    replaced = {PUBLIC: provider.url, "YOUR_CLIENT_ID": client["CLIENT_ID"]}
    examples.write("spa.js", tmp_path, **replaced)
    page = examples.write("spa.html", tmp_path, **{"<script": IMPORT_MAP + "<script"})
    page.rename(tmp_path / "index.html")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    serve = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with providers.app(provider, tmp_path, *serve, port=port):
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


# A bundler finds the packages of an app; here the browser is told where they are
IMPORT_MAP = """\
<script type="importmap">{"imports": {
  "oidc-client-ts": "/node_modules/oidc-client-ts/dist/esm/oidc-client-ts.js",
  "jwt-decode": "/node_modules/jwt-decode/build/esm/index.js"
}}</script>
"""

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
    env = environment(tmp_path, **providers.trusting(provider), **client, BROWSER=f"{browser} %s")
    process = await asyncio.create_subprocess_exec(
        sys.executable, file, cwd=tmp_path, env=env, stdout=asyncio.subprocess.PIPE
    )
    url = await asyncio.to_thread(content_of, opened)
    origin = re.sub(r".*redirect_uri=http%3A%2F%2F(.*?)%3A(\d+).*", r"http://\1:\2", url)
    async with visiting(chromium, provider, origin) as session:
        await session.go(url)
        await sign_in(session, phone)
        await session.page.get_by_text("You can close this page.").wait_for()
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert output.decode().split() == [phone, phone, "True", "401"]


@asynccontextmanager
async def visiting(
    chromium: Browser, provider: Provider, origin: str
) -> AsyncIterator[BrowserSession]:
    """Open a browser session for the provider's pages and an app's. The app has no icon: 404."""
    async with new_session(
        chromium, provider.url, any_certificate=True, origins=[origin], expected=[404]
    ) as session:
        yield session


async def sign_in(session: BrowserSession, phone: str | None) -> None:
    """Sign in on the pages for an app. phone: None if the page knows it already."""
    assert session.page.url.startswith(session.site)
    if phone is None:
        phone = await session.page.input_value("input[name=phone]")
    await ask_for_code(session, phone)
    await enter(session, await shown_code(session))


@contextmanager
def shop(name: str, provider: Provider, folder: Path) -> Iterator[str]:
    """Run a server-rendered app and the backend that it calls; yield the app's origin."""
    port, api_port = free_port(), free_port()
    origin = f"http://localhost:{port}"
    client = provider.register(
        *(f"Shop {port}", "--audience", API_AUDIENCE, "--redirect-uri", f"{origin}/callback"),
        *("--post-logout-redirect-uri", f"{origin}/"),
    )
    examples.write(
        "backend.py", folder, **{PUBLIC: provider.url, "MAX_AGE = 300": f"MAX_AGE = {MAX_AGE}"}
    )
    file = examples.write(name, folder, **{PUBLIC: provider.url})
    (folder / "node_modules").symlink_to(NODE_MODULES)
    variables = {
        "APP_URL": origin,
        "API_URL": f"http://localhost:{api_port}",
        "SESSION_SECRET": "a secret of the session",
        **client,
    }
    command = providers.flask("app", port) if name.endswith(".py") else [str(NODE), str(file)]
    with (
        providers.app(provider, folder, *providers.flask("backend", api_port), port=api_port),
        providers.app(provider, folder, *command, port=port, **variables),
    ):
        yield origin


def content_of(file: Path) -> str:
    """Wait for a file that a program writes."""
    for _ in range(400):
        if file.exists():
            return file.read_text().strip()
        time.sleep(0.05)
    raise AssertionError(f"{file} was not written")
