"""Proofs: how a phone was proven, and under which settings that stays valid."""

from __future__ import annotations

import pytest

from referral.core import proof as proofs
from referral.core.channels import Channel
from referral.core.proof import Proof

VALID = {
    # (proof, simulated gateway now, test phone now): whether it is valid
    (Proof.CALLED, False, False): True,
    (Proof.CALLED, False, True): True,
    (Proof.CALLED, True, False): True,
    (Proof.CALLED, True, True): True,
    (Proof.MESSENGER, False, False): True,
    (Proof.MESSENGER, False, True): True,
    (Proof.MESSENGER, True, False): True,
    (Proof.MESSENGER, True, True): True,
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
    (Proof.OPEN_DEMO, False, False): False,
    (Proof.OPEN_DEMO, False, True): False,
    (Proof.OPEN_DEMO, True, False): True,
    (Proof.OPEN_DEMO, True, True): True,
}


@pytest.mark.parametrize(("case", "expected"), VALID.items())
def test_validity_under_settings(case: tuple[Proof, bool, bool], *, expected: bool) -> None:
    proof, is_simulated, is_test_phone = case
    assert (
        proofs.is_valid(proof, is_simulated=is_simulated, is_test_phone=is_test_phone) is expected
    )


def test_every_case_is_listed() -> None:
    assert len(VALID) == len(Proof) * 4


@pytest.mark.parametrize(
    ("is_fixed", "is_simulated", "is_open_demo", "expected"),
    [
        (False, False, False, Proof.SENT),
        (False, False, True, Proof.SENT),
        (False, True, False, Proof.SIMULATED),
        (False, True, True, Proof.OPEN_DEMO),
        *((True, simulated, True, Proof.TEST_PHONE) for simulated in (False, True)),
        *((True, simulated, False, Proof.TEST_PHONE) for simulated in (False, True)),
    ],
)
def test_proof_of_a_code(
    *, is_fixed: bool, is_simulated: bool, is_open_demo: bool, expected: Proof
) -> None:
    """A fixed code comes from the settings, whichever the gateway."""
    proof = proofs.of_code(
        Channel.SMS, is_fixed=is_fixed, is_simulated=is_simulated, is_open_demo=is_open_demo
    )
    assert proof is expected


@pytest.mark.parametrize(
    ("channel", "methods"),
    [
        (Channel.SMS, ("sms",)),
        (Channel.VOICE, ("tel",)),
        (Channel.TELEGRAM, ("otp",)),
        (Channel.WHATSAPP, ("otp",)),
        (None, ("otp",)),
    ],
)
def test_methods_of_a_channel(channel: Channel | None, methods: tuple[str, ...]) -> None:
    proof = proofs.of_code(channel, is_fixed=False, is_simulated=False, is_open_demo=False)
    assert proof.methods == methods
    assert proof.proves_ownership


@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (Proof.SENT, True),
        (Proof.SIMULATED, True),
        (Proof.OPEN_DEMO, False),
        (Proof.TEST_PHONE, False),
    ],
)
def test_proof_of_ownership(proof: Proof, *, expected: bool) -> None:
    assert proof.proves_ownership is expected
