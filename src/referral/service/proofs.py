"""Whether what was issued earlier still counts under the settings in force."""

from __future__ import annotations

from datetime import datetime

from referral.context import Context
from referral.core import challenge as challenges
from referral.core import proof as proofs
from referral.core.challenge import Challenge
from referral.core.errors import ChallengeInvalid
from referral.core.keys import Purpose
from referral.core.proof import Proof


def hold(ctx: Context, proof: Proof, phone: str | None) -> bool:
    """Whether something that was issued to a phone by this proof is still good."""
    return proofs.is_valid(
        proof,
        is_simulated=ctx.gateway.echoes_code,
        is_test_phone=_has_fixed_code(ctx, phone),
    )


def open_challenge(ctx: Context, token: str, *, purpose: Purpose, now: datetime) -> Challenge:
    """The challenge inside a token.

    Raises ChallengeInvalid, ChallengeExpired.
    """
    challenge = challenges.decrypt(token, purpose=purpose, now=now, keys=ctx.keys)
    if not hold(ctx, challenge.proof, challenge.phone):
        raise ChallengeInvalid(reason="of an earlier gateway or test phone")
    return challenge


def _has_fixed_code(ctx: Context, phone: str | None) -> bool:
    return phone is not None and ctx.fixed_code(phone) is not None
