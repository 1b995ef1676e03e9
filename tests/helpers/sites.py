"""The service where a browser reaches it."""

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
from support import Inbox, Service, running


@asynccontextmanager
async def reachable(
    database_url: str, *, inbox: Inbox | None = None, **variables: str
) -> AsyncIterator[tuple[Service, str]]:
    """As `running`, and where browsers find it: the clock of the tests is the one that they see."""
    port = free_port()
    async with running(database_url, inbox=inbox, PORT=str(port), **variables) as service:
        assert service.app is not None
        async with _listening(service.app, port):
            yield service, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def another_origin(html: str) -> AsyncIterator[int]:
    """Somebody else's page at every path, on a port of this machine."""

    async def page(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - as ASGI has it
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": html.encode()})

    port = free_port()
    async with _listening(page, port):
        yield port


class _Server(uvicorn.Server):
    """One that leaves the signals to the tests."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _listening(app: Any, port: int) -> AsyncIterator[None]:
    """Over HTTP, in this process, until the block ends."""
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
        # As the application does it where it is started with the server
        server.lifespan.state["application"] = app if isinstance(app, Application) else None
        yield
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


def plain(site: str, service: Service | None = None) -> httpx.AsyncClient:
    """A browser's plain cousin: it keeps cookies, follows redirects and says where it stands.

    service: one of this process, to be asked directly; else over the network.
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
