"""Sends, guesses and refusals for tests of the limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from referral.messaging.gateways import Failure, GatewayError, Message
from support import Inbox, Service, context_of, new_address, ok, refused, running, wrong_code

WAITS = "30,60,120"
UNKNOWN = "ZZZZZZ"


@asynccontextmanager
async def proxied(
    database_url: str, inbox: Inbox | None = None, /, **variables: str
) -> AsyncIterator[Service]:
    """Run the service behind one proxy, which forwards the address of each caller."""
    variables = {"REFERRAL_TRUSTED_PROXIES": "1", **variables}
    async with running(database_url, inbox=inbox, **variables) as service:
        yield service


async def post(service: Service, path: str, address: str | None, **body: Any) -> httpx.Response:
    headers = {"X-Forwarded-For": address or new_address()}
    return await service.http.post(f"/api/v1{path}", json=body, headers=headers)


async def send(
    service: Service, phone: str, address: str | None = None, **more: str
) -> httpx.Response:
    """Ask for a code, from a new address unless one is given."""
    return await post(service, "/auth/send-code", address, phone=phone, **more)


async def guess(
    service: Service, sent: dict[str, Any], code: str, address: str | None = None, **more: str
) -> httpx.Response:
    return await post(service, "/auth/verify", address, token=sent["token"], code=code, **more)


async def enter(
    service: Service, sent: dict[str, Any], address: str | None = None, **more: str
) -> httpx.Response:
    """Enter the right code."""
    return await guess(service, sent, sent["code"], address, **more)


async def fail(
    service: Service, phone: str, times: int, address: str | None = None, **more: str
) -> None:
    """Enter wrong codes, for as few challenges as possible."""
    while times:
        sent = ok(await send(service, phone, address, **more))
        for _ in range(min(times, 3)):
            refused(
                await guess(service, sent, wrong_code(sent["code"]), address), 400, "wrong_code"
            )
            times -= 1


async def device_of(service: Service, phone: str) -> str:
    """Sign a phone in and return its device token."""
    token: str = ok(await enter(service, ok(await send(service, phone))))["device_token"]
    return token


def limited(response: httpx.Response, code: str = "too_many_requests") -> int:
    """Check that a limit refused a request; return the seconds in Retry-After."""
    refused(response, 429, code)
    seconds = int(response.headers["retry-after"])
    assert seconds >= 1
    name, size, window = response.headers["ratelimit-policy"].split(";")
    assert size.removeprefix("q=").isdigit()
    assert window.removeprefix("w=").isdigit()
    assert response.headers["ratelimit"] == f"{name};r=0;t={seconds}"
    return seconds


async def save_global_limits(service: Service) -> None:
    """Do what every process does every two seconds."""
    await context_of(service).global_limits.save(service.clock())


@dataclass
class BrokenInbox(Inbox):
    """A gateway that accepts no message while it is broken."""

    broken: bool = True

    async def send(self, message: Message) -> None:
        if self.broken:
            raise GatewayError("broken", Failure.NOT_TAKEN)
        await super().send(message)
