"""Apps that sign people in with the provider, in processes of their own and in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from playwright.async_api import Browser

import examples
from browser import BrowserSession, new_session
from examples import NODE, NODE_MODULES, PUBLIC
from processes import environment, free_port, stop
from provider import ACCESS_SECONDS, Provider
from support import Clock, Inbox, Service, ok
from walks import ask_for_code, enter, shown_code

API_AUDIENCE = "https://api.shop.example.com"
# The age of a sign-in from which the backend asks for a new one
MAX_AGE = 10
# After which libraries refresh, and some time for the clocks' fractions
REFRESH_SECONDS = ACCESS_SECONDS - 60 + 1

_START_SECONDS = 20
# A bundler finds the packages of an app; here the browser is told where they are
_IMPORT_MAP = """\
<script type="importmap">{"imports": {
  "oidc-client-ts": "/node_modules/oidc-client-ts/dist/esm/oidc-client-ts.js",
  "jwt-decode": "/node_modules/jwt-decode/build/esm/index.js"
}}</script>
"""


@asynccontextmanager
async def visiting(
    chromium: Browser, provider: Provider, origin: str, *, expected: Collection[int] = (404,)
) -> AsyncIterator[BrowserSession]:
    """Open a browser session for the provider's pages and an app's. The app has no icon: 404."""
    async with new_session(
        chromium, provider.url, any_certificate=True, origins=[origin], expected=expected
    ) as session:
        yield session


async def sign_in(session: BrowserSession, phone: str | None) -> None:
    """Sign in on the pages for an app. phone: None if the page knows it already."""
    assert session.page.url.startswith(session.site)
    if phone is None:
        phone = await session.page.input_value("input[name=phone]")
    await ask_for_code(session, phone)
    await enter(session, await shown_code(session))


async def sign_out_everywhere(provider: Provider, phone: str) -> None:
    async with httpx.AsyncClient(base_url=provider.server.url, timeout=30) as http:
        person = await Service(http, Clock(), Inbox()).sign_in(phone)
        ok(await person.call("DELETE", "/sessions"))


@contextmanager
def single_page(provider: Provider, folder: Path, **replaced: str) -> Iterator[str]:
    """Serve the single-page app; yield its origin.

    replaced: in its script, what stands there and what to put instead.
    """
    port = free_port()
    origin = f"http://localhost:{port}"
    options = ("--redirect-uri", f"{origin}/", "--post-logout-redirect-uri", f"{origin}/")
    client = provider.register(f"Online {port}", "--public", *options)
    replaced |= {PUBLIC: provider.url, "YOUR_CLIENT_ID": client["CLIENT_ID"]}
    examples.write("spa.js", folder, **replaced)
    page = examples.write("spa.html", folder, **{"<script": _IMPORT_MAP + "<script"})
    page.rename(folder / "index.html")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    serve = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    with app(provider, folder, *serve, port=port):
        yield origin


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
    command = flask("app", port) if name.endswith(".py") else [str(NODE), str(file)]
    with (
        app(provider, folder, *flask("backend", api_port), port=api_port),
        app(provider, folder, *command, port=port, **variables),
    ):
        yield origin


@contextmanager
def app(
    provider: Provider, folder: Path, *command: str | Path, port: int, **variables: str
) -> Iterator[str]:
    """Run an app, or an app's backend, on this port until the block ends; yield its origin.

    variables: of its environment, besides those that make its language trust the certificate.
    """
    env = environment(folder, PORT=str(port), **trusting(provider), **variables)
    log = folder / f"app-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        _wait(port, process, log)
        yield f"http://localhost:{port}"
    finally:
        stop(process)


def flask(name: str, port: int) -> list[str]:
    """Return the command that serves a module of a Flask app."""
    return [sys.executable, "-m", "flask", "--app", name, "run", "--port", str(port)]


def trusting(provider: Provider) -> dict[str, str]:
    """Return the variables with which Node, requests and OpenSSL trust the certificate."""
    file = str(provider.certificate)
    return {
        "NODE_EXTRA_CA_CERTS": file,
        "REQUESTS_CA_BUNDLE": file,
        "SSL_CERT_FILE": file,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
