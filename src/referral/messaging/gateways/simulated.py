"""The simulated gateway: it takes as long as a real one, and sends nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from referral.messaging.gateways import Message

SCHEMES = ("simulated",)

_WITHOUT_DELAY = "simulated://?delay=0"


def check(url: str, *, production: bool) -> None:  # noqa: ARG001 - allowed in production
    if url not in ("simulated://", _WITHOUT_DELAY):
        raise ValueError("must be simulated:// or simulated://?delay=0")


def build(url: str) -> Simulated:
    if url == _WITHOUT_DELAY:
        return Simulated(lambda: 0)
    # 1 to 2 s, as a real gateway takes
    return Simulated(lambda: 1 + secrets.randbelow(1001) / 1000)


class Simulated:
    name = "simulated"
    echoes_code = True

    def __init__(self, delay: Callable[[], float]) -> None:
        """delay(): how many seconds the next message takes."""
        self._delay = delay

    async def send(self, message: Message) -> None:  # noqa: ARG002 - nothing is sent
        if delay := self._delay():
            await asyncio.sleep(delay)
