"""How somebody proved that a phone is theirs, and under which settings that still counts.

Whatever is issued to somebody (a challenge, a device token, a session) carries how its phone was
proven. A code that anybody could read proves a phone only as long as the service says so itself.
"""

from __future__ import annotations

from enum import StrEnum


class Proof(StrEnum):
    """Where the code was that somebody entered."""

    SENT = "sent"
    """In a message to the phone (in development also on the screen, `console://`)."""
    SIMULATED = "simulated"
    """In the answer of the simulated gateway."""
    TEST_PHONE = "test_phone"
    """In the settings, as the fixed code of a test phone."""


def of_code(*, is_fixed: bool, is_simulated: bool) -> Proof:
    """What entering a code proves, by how it is handed out now."""
    if is_fixed:
        return Proof.TEST_PHONE
    return Proof.SIMULATED if is_simulated else Proof.SENT


def of_session(stored: str | None, *, proves_phone: bool | None) -> Proof | None:
    """The proof of a stored session; None if only a code that anybody could read is known of it.

    proves_phone: all that the release before stored.
    """
    if stored is None:
        return Proof.SENT if proves_phone else None
    return Proof(stored)


def holds(proof: Proof | None, *, is_simulated: bool, is_test_phone: bool) -> bool:
    """Whether a proof still counts.

    is_simulated: whether the simulated gateway is set now. is_test_phone: whether the phone has a
    fixed code now.
    """
    match proof:
        case Proof.SENT:
            return True
        case Proof.SIMULATED:
            return is_simulated
        case Proof.TEST_PHONE:
            return is_test_phone
        case None:
            return is_simulated or is_test_phone
