"""Servers in this process that a browser can reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import httpx
import uvicorn

from processes import free_port
from referral.http.server.application import Application
from referral.http.server.protocol import HttpProtocol
from referral.i18n import Languages
from support import Inbox, Service, running


@asynccontextmanager
async def reachable(
    database_url: str,
    languages: Languages | None = None,
    /,
    *,
    inbox: Inbox | None = None,
    **variables: str,
) -> AsyncIterator[tuple[Service, str]]:
    """Run the service as `running` does, on a port; yield it and its origin.

    It runs in the tests' process, so tests can move its clock and read its inbox.
    """
    port = free_port()
    async with running(
        database_url, None, languages, inbox=inbox, PORT=str(port), **variables
    ) as service:
        assert service.app is not None
        async with _listening(service.app, port):
            yield service, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def another_origin(*parts: str) -> AsyncIterator[int]:
    """Serve this HTML at every path of another origin; yield its port.

    parts: of the HTML. A fifth of a second passes before each of them but the first.
    """

    async def page(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's signature
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
            await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": parts[-1].encode()})

    port = free_port()
    async with _listening(page, port):
        yield port


class _Server(uvicorn.Server):
    """A server that does not handle signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _listening(app: Any, port: int) -> AsyncIterator[None]:
    """Serve an application over HTTP until the block ends."""
    config = uvicorn.Config(
        cast("Any", app),
        port=port,
        http=HttpProtocol,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                assert not task.done()
                await asyncio.sleep(0.01)
        # The application sets this itself when the server starts it
        server.lifespan.state["application"] = app if isinstance(app, Application) else None
        yield
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


def plain(site: str, service: Service | None = None) -> httpx.AsyncClient:
    """Make a client that keeps cookies, follows redirects and sends Origin, like a browser.

    service: to call in this process; otherwise the requests go over the network.
    """
    transport = None
    if service is not None:
        transport = httpx.ASGITransport(cast("Any", service.app), raise_app_exceptions=False)
    return httpx.AsyncClient(
        base_url=site,
        transport=transport,
        headers={"Origin": site, "Accept": "text/html"},
        follow_redirects=True,
        timeout=30,
    )
