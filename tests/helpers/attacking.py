"""Parallel requests to a server of several processes, and their outcomes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx

from processes import Server


def client(server: Server) -> httpx.AsyncClient:
    """Every request has a connection of its own, so all processes get some."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits)


def wrong(sent: dict[str, Any]) -> dict[str, Any]:
    length = len(sent["code"])
    return {**sent, "code": f"{(int(sent['code']) + 1) % 10**length:0{length}}"}


def assert_nothing_broke(answers: list[httpx.Response], server: Server) -> None:
    broken = Counter(answer.text for answer in answers if answer.is_server_error)
    assert not broken, f"{broken}\n{server.log.read_text()[-5000:]}"


def codes(answers: list[httpx.Response]) -> Counter[str]:
    """How many answers have which problem."""
    return Counter(answer.json().get("code", "none") for answer in answers)
