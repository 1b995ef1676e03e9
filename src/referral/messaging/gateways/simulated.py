"""Takes as long as a real gateway and sends nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from referral.messaging.gateways import Message


class Simulated:
    name = "simulated"
    echoes_code = True

    def __init__(self, delay: Callable[[], float]) -> None:
        """delay(): how many seconds the next message takes."""
        self._delay = delay

    async def send(self, message: Message) -> None:  # noqa: ARG002 - nothing is sent
        if delay := self._delay():
            await asyncio.sleep(delay)
