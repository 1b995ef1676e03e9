"""Sign requests to the team's own HTTP endpoints, as Standard Webhooks specifies.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from standardwebhooks import Webhook

LOOPBACK = ("127.0.0.1", "::1", "localhost")

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of every secret, no secret
_MIN_SECRET_BYTES = 24  # Standard Webhooks, "Signature scheme"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL of an HTTP endpoint, and the secrets that sign requests to it."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)


class Signer:
    """Makes the headers of signed requests."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """secrets: each adds a signature, so that an endpoint can check any while they rotate."""
        self._signers = [Webhook(secret) for secret in secrets]

    def headers(self, message_id: str, body: str, *, at: datetime) -> dict[str, str]:
        """Return the headers of a POST of this JSON body, signed with the timestamp `at`."""
        signatures = (signer.sign(message_id, at, body) for signer in self._signers)
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def is_secret(text: str) -> bool:
    """Return whether this is `whsec_` and the base64 of at least 24 bytes."""
    encoded = text.removeprefix(_SECRET_PREFIX)
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return False
    return text.startswith(_SECRET_PREFIX) and len(decoded) >= _MIN_SECRET_BYTES
