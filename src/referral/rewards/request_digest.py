"""Recognise repeated requests by a keyed digest of their content, as it was sent."""

from __future__ import annotations

import hmac
import json
from typing import Any

from referral.context import Context
from referral.core import digests
from referral.core.keys import Purpose


def compute(ctx: Context, content: Any) -> str:
    """Return the digest of parsed JSON. The order of an object's fields does not matter."""
    return _digests(ctx, content)[0]


def matches(ctx: Context, digest: str | None, content: Any) -> bool:
    """Return whether a stored digest is that of this content."""
    return any(hmac.compare_digest(digest or "", each) for each in _digests(ctx, content))


def _digests(ctx: Context, content: Any) -> list[str]:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return digests.of_text(text, Purpose.REWARD_REQUEST, data_keys=ctx.data_keys)
