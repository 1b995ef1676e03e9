"""Check that sessions, challenges and device tokens are still valid under the current settings.

Each carries the proof with which it was issued: a code that was sent, one echoed by the simulated
gateway, or the fixed code of a test phone.
"""

from __future__ import annotations

from datetime import datetime

from referral.context import Context
from referral.core import challenge as challenges
from referral.core import proof as proofs
from referral.core.challenge import Challenge
from referral.core.errors import ChallengeInvalid
from referral.core.keys import Purpose
from referral.core.proof import Proof


def is_valid(ctx: Context, proof: Proof, phone: str | None) -> bool:
    """Return whether a proof of a phone is still valid."""
    return proofs.is_valid(
        proof,
        is_simulated=ctx.channels.echoes_code,
        is_test_phone=_has_fixed_code(ctx, phone),
    )


def decrypt_challenge(ctx: Context, token: str, *, purpose: Purpose, now: datetime) -> Challenge:
    """Decrypt the challenge in a token. Raises ChallengeInvalid, ChallengeExpired."""
    challenge = challenges.decrypt(token, purpose=purpose, now=now, keys=ctx.keys)
    if not is_valid(ctx, challenge.proof, challenge.phone):
        raise ChallengeInvalid(reason="issued by an earlier gateway or to a former test phone")
    return challenge


def _has_fixed_code(ctx: Context, phone: str | None) -> bool:
    return phone is not None and ctx.fixed_code(phone) is not None
