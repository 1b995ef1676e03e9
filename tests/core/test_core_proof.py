"""How a phone was proven, and under which settings that still counts."""

from __future__ import annotations

import pytest

from referral.core import proof as proofs
from referral.core.proof import Proof

# Issued under one of these, with either gateway set now, the phone a test phone now or not
HOLDS = {
    # (proof, simulated now, test phone now): whether it still counts
    (Proof.SENT, False, False): True,
    (Proof.SENT, False, True): True,
    (Proof.SENT, True, False): True,
    (Proof.SENT, True, True): True,
    (Proof.SIMULATED, False, False): False,
    (Proof.SIMULATED, False, True): False,
    (Proof.SIMULATED, True, False): True,
    (Proof.SIMULATED, True, True): True,
    (Proof.TEST_PHONE, False, False): False,
    (Proof.TEST_PHONE, False, True): True,
    (Proof.TEST_PHONE, True, False): False,
    (Proof.TEST_PHONE, True, True): True,
    (None, False, False): False,
    (None, False, True): True,
    (None, True, False): True,
    (None, True, True): True,
}


@pytest.mark.parametrize(("case", "expected"), HOLDS.items())
def test_what_still_counts(case: tuple[Proof | None, bool, bool], *, expected: bool) -> None:
    proof, is_simulated, is_test_phone = case
    assert proofs.holds(proof, is_simulated=is_simulated, is_test_phone=is_test_phone) is expected


def test_every_case_is_there() -> None:
    assert len(HOLDS) == (len(Proof) + 1) * 4


@pytest.mark.parametrize(
    ("is_fixed", "is_simulated", "expected"),
    [
        (False, False, Proof.SENT),
        (False, True, Proof.SIMULATED),
        (True, False, Proof.TEST_PHONE),
        (True, True, Proof.TEST_PHONE),
    ],
)
def test_what_a_code_proves(*, is_fixed: bool, is_simulated: bool, expected: Proof) -> None:
    """A fixed code is the settings' whatever the gateway."""
    assert proofs.of_code(is_fixed=is_fixed, is_simulated=is_simulated) is expected


@pytest.mark.parametrize(
    ("stored", "proves_phone", "expected"),
    [
        (None, True, Proof.SENT),
        (None, False, None),
        (None, None, None),
        *((str(each), proves, each) for each in Proof for proves in (True, False)),
    ],
)
def test_what_is_stored_of_a_session(
    stored: str | None, *, proves_phone: bool | None, expected: Proof | None
) -> None:
    """The release before stored less, and nobody it signed in for good is signed out."""
    assert proofs.of_session(stored, proves_phone=proves_phone) is expected
