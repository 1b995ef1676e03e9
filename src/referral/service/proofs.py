"""Whether what was issued earlier still counts under the settings in force."""

from __future__ import annotations

from datetime import datetime

from referral.context import Parts
from referral.core import challenge as challenges
from referral.core import proof as proofs
from referral.core.challenge import Challenge
from referral.core.errors import ChallengeInvalid
from referral.core.keys import Purpose
from referral.core.proof import Proof


def hold(parts: Parts, proof: Proof | None, phone: str | None) -> bool:
    """Whether something that was issued to a phone by this proof is still good."""
    return proofs.holds(
        proof,
        is_simulated=parts.gateway.echoes_code,
        is_test_phone=_has_fixed_code(parts, phone),
    )


def read_challenge(
    parts: Parts, token: str, *, purpose: Purpose, now: datetime
) -> tuple[Challenge, Proof]:
    """The challenge inside a token, and what its code proves.

    Raises ChallengeInvalid, ChallengeExpired.
    """
    challenge = challenges.read(token, purpose=purpose, now=now, keys=parts.keys)
    # One of the release before, some minutes old, does not say
    proof = challenge.proof or proofs.of_code(
        is_fixed=_has_fixed_code(parts, challenge.phone), is_simulated=parts.gateway.echoes_code
    )
    if not hold(parts, proof, challenge.phone):
        raise ChallengeInvalid(reason="of an earlier gateway or test phone")
    return challenge, proof


def _has_fixed_code(parts: Parts, phone: str | None) -> bool:
    return phone is not None and parts.fixed_code(phone) is not None
