"""Writes messages to stderr, for development. Past the logger, which never sees a code."""

from __future__ import annotations

import sys

from referral.messaging.gateways import Message


class Console:
    name = "console"
    echoes_code = False

    async def send(self, message: Message) -> None:
        print(f"to {message.phone}: {message.text}", file=sys.stderr, flush=True)  # noqa: T201
