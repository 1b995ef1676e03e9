"""Signing what goes to an endpoint of the team's own, as Standard Webhooks says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from standardwebhooks import Webhook

LOOPBACK = ("127.0.0.1", "::1", "localhost")

_SECRET_PREFIX = "whsec_"  # noqa: S105 - how each begins
_LEAST_SECRET_BYTES = 24  # as the specification has it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to send messages, and what to sign them with; each secret signs."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)


class Signer:
    def __init__(self, secrets: Iterable[str]) -> None:
        """secrets: each signs, so that a receiver may know either while they rotate."""
        self._signers = [Webhook(secret) for secret in secrets]

    def headers(self, message_id: str, body: str, *, at: datetime) -> dict[str, str]:
        """Of a POST of this JSON body."""
        signatures = (signer.sign(message_id, at, body) for signer in self._signers)
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def is_secret(text: str) -> bool:
    encoded = text.removeprefix(_SECRET_PREFIX)
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return False
    return text.startswith(_SECRET_PREFIX) and len(decoded) >= _LEAST_SECRET_BYTES
