"""Parallel requests to a server of several processes, and their responses."""

from __future__ import annotations

from collections import Counter

import httpx

from processes import Server


def client(server: Server, *, timeout: float = 60) -> httpx.AsyncClient:
    """Return a client that opens a connection for each request, so that all processes get some."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=server.url, timeout=timeout, limits=limits)


def assert_nothing_broke(responses: list[httpx.Response], server: Server) -> None:
    broken = Counter(response.text for response in responses if response.is_server_error)
    assert not broken, f"{broken}\n{server.log.read_text()[-5000:]}"


def codes(responses: list[httpx.Response]) -> Counter[str]:
    """Count responses by their error code; "none" is a success."""
    return Counter(response.json().get("code", "none") for response in responses)
