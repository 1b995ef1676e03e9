"""Headers that every answer carries, errors and pages too."""

from __future__ import annotations

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

_YEAR = 31_536_000  # seconds


def on_every_answer(*, https: bool) -> BeforeMessageSendHookHandler:
    """https: whether people reach the service by https alone, as in production."""
    headers = [(b"x-content-type-options", b"nosniff")]
    if https:
        # RFC 6797
        headers.append((b"strict-transport-security", f"max-age={_YEAR}".encode()))

    async def add(message: Message, _scope: Scope) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]

    return add
