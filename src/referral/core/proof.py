"""How somebody proved that a phone is theirs, and under which settings that still counts.

Whatever is issued to somebody (a challenge, a device token, a session) carries how its phone was
proven. A code that anybody could read proves a phone only as long as the service says so itself.
"""

from __future__ import annotations

from enum import StrEnum


class Proof(StrEnum):
    """Where the code came from that a client entered."""

    SENT = "sent"
    """A message to the phone (`console://` in development counts as one)."""
    SIMULATED = "simulated"
    """The response of the simulated gateway in development, which only developers reach."""
    OPEN_DEMO = "open_demo"
    """The response of the simulated gateway in production, which everybody reaches."""
    TEST_PHONE = "test_phone"
    """The settings: the fixed code of a test phone."""

    @property
    def proves_ownership(self) -> bool:
        """Whether nobody but the owner of the phone can have entered the code."""
        return self in {Proof.SENT, Proof.SIMULATED}


def of_code(*, is_fixed: bool, is_simulated: bool, in_production: bool) -> Proof:
    """Return what entering a code proves, by how it is handed out now."""
    if is_fixed:
        return Proof.TEST_PHONE
    if not is_simulated:
        return Proof.SENT
    return Proof.OPEN_DEMO if in_production else Proof.SIMULATED


def is_valid(proof: Proof, *, is_simulated: bool, is_test_phone: bool) -> bool:
    """Whether a proof still counts.

    is_simulated: whether the simulated gateway is set now. is_test_phone: whether the phone has a
    fixed code now.
    """
    match proof:
        case Proof.SENT:
            return True
        case Proof.SIMULATED | Proof.OPEN_DEMO:
            return is_simulated
        case Proof.TEST_PHONE:
            return is_test_phone
