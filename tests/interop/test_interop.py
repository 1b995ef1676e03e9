"""Apps with further client libraries, in a real browser. `make interop` runs these tests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser

import apache
import apps
import provider as providers
from browser import BrowserSession
from examples import NODE
from processes import ROOT, free_port
from provider import Provider
from support import new_phone

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / ".cache" / "interop"


@dataclass(frozen=True)
class App:
    """An app of this folder.

    callback: where people are sent back to. refreshes: whether it has a link for it. has_hint:
    whether the library keeps the ID token, so that signing out asks nothing. shows: what it knows
    of people. environment: of an app in Python.
    """

    file: str
    callback: str = "/callback"
    refreshes: bool = True
    has_hint: bool = True
    shows: str = "phone"
    options: tuple[str, ...] = ()
    environment: str = "venv"

    @property
    def interpreter(self) -> Path:
        if self.file.endswith(".mjs"):
            return NODE
        return ENVIRONMENTS / self.environment / "bin" / "python"


APPS = (
    App("oauth4webapi.mjs"),
    App(
        "passport_openidconnect.mjs",
        refreshes=False,
        shows="id",
        options=("--without-pkce",),
    ),
    App("auth_core.mjs", "/auth/callback/referral", refreshes=False),
    App("better_auth.mjs", "/api/auth/callback/referral"),
    App("mozilla_django_oidc_app.py", "/oidc/callback/", refreshes=False, environment="mozilla"),
    App(
        "allauth_app.py",
        "/accounts/oidc/referral/login/callback/",
        refreshes=False,
        has_hint=False,
    ),
    App("social_auth_app.py", "/complete/oidc/"),
    App("idpyoidc_app.py"),
    App("apache"),
)


@pytest.fixture(scope="module")
async def provider(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    folder = tmp_path_factory.mktemp("provider")
    with providers.providing(folder, f"sqlite://{folder}/referral.sqlite3") as started:
        yield started


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.file)
async def test_interop(app: App, provider: Provider, chromium: Browser, tmp_path: Path) -> None:
    """A person signs in, the app refreshes if it can, and the person signs out."""
    phone = new_phone()
    with running(app, provider, tmp_path) as origin:
        async with apps.visiting(chromium, provider, origin) as session:
            page = session.page
            await session.go(f"{origin}/")
            await sign_in(session, phone)
            await page.wait_for_url(f"{origin}/")
            who = await session.text("#who")
            assert re.fullmatch(re.escape(phone) if app.shows == "phone" else r"[\w-]{36}", who)
            if app.refreshes:
                tokens = provider.successes("/oauth/token")
                await session.submit("#refresh")
                assert await session.text("#who") == who
                assert provider.successes("/oauth/token") == tokens + 1

            await session.submit("#sign-out")
            if app.has_hint:
                await page.wait_for_url(f"{origin}/*")
                await page.locator("#sign-in").wait_for()
            else:
                await session.submit("main form button.main")
            await session.go("/me")
            assert session.path() == "/", "still signed in on the pages"
            await session.go(f"{origin}/")
            await page.locator("#sign-in").wait_for()


async def sign_in(session: BrowserSession, phone: str) -> None:
    """Go to the provider, maybe by a page of the app that asks again, and sign in there."""
    await session.submit("#sign-in")
    if not session.page.url.startswith(session.site):
        await session.submit("button")
    await apps.sign_in(session, phone)


@contextmanager
def running(app: App, provider: Provider, folder: Path) -> Iterator[str]:
    """Run an app; yield its origin."""
    port = free_port()
    origin = f"http://localhost:{port}"
    client = provider.register(
        *(f"{app.file} {port}", "--redirect-uri", f"{origin}{app.callback}", *app.options),
        *("--post-logout-redirect-uri", f"{origin}/"),
    )
    variables = {"ISSUER": provider.url, "APP_URL": origin, **client}
    with ExitStack() as stack:
        command: tuple[str | Path, ...]
        if app.file == "apache":
            site = apache.site(provider, port=port, origin=origin, client=client)
            command = stack.enter_context(site)
            variables = {"LD_LIBRARY_PATH": apache.libraries()}
        else:
            command = (app.interpreter, HERE / app.file)
        stack.enter_context(apps.app(provider, folder, *command, port=port, **variables))
        yield origin
