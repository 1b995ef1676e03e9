"""The console gateway, for development: write messages to stderr, since logs may have no codes."""

from __future__ import annotations

import sys

from referral.messaging.gateways import Message

SCHEMES = ("console",)


def check(url: str, *, production: bool) -> None:
    if url != "console://":
        raise ValueError("must be console:// with nothing after it")
    if production:
        raise ValueError("console:// is for development only")


class Console:
    name = "console"
    echoes_code = False

    async def send(self, message: Message) -> None:
        print(f"to {message.phone}: {message.text}", file=sys.stderr, flush=True)  # noqa: T201 - its purpose
