"""Headers that every answer carries, errors and pages too."""

from __future__ import annotations

from litestar.types import BeforeMessageSendHookHandler, Message, Scope

from referral.http import request_ids

_YEAR = 31_536_000  # seconds


def on_every_answer(*, https: bool) -> BeforeMessageSendHookHandler:
    """https: whether people reach the service by https alone, as in production."""
    headers = [(b"x-content-type-options", b"nosniff")]
    if https:
        # RFC 6797
        headers.append((b"strict-transport-security", f"max-age={_YEAR}".encode()))

    async def add(message: Message, _scope: Scope) -> None:
        if message["type"] == "http.response.start":
            request_id = (request_ids.HEADER, request_ids.current().encode())
            message["headers"] = [*message["headers"], request_id, *headers]

    return add
