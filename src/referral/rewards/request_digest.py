"""Recognise repeated requests by a keyed digest of their content, as it was sent."""

from __future__ import annotations

import hmac
import json
from typing import Any

from referral.context import Context
from referral.core import seal
from referral.core.keys import Key, Purpose


def compute(ctx: Context, content: Any) -> str:
    """Return the digest of parsed JSON. The order of an object's fields does not matter."""
    return _digest(ctx.data_keys.current(Purpose.REWARD_REQUEST), content)


def matches(ctx: Context, digest: str | None, content: Any) -> bool:
    """Return whether a stored digest is that of this content."""
    return any(
        hmac.compare_digest(digest or "", _digest(key, content))
        for key in ctx.data_keys.all(Purpose.REWARD_REQUEST)
    )


def _digest(key: Key, content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return seal.base64url_encode(hmac.digest(key.secret, text.encode(), "sha256"))
