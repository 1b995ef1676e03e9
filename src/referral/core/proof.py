"""Proofs: how a user showed that a phone is theirs, and under which settings that stays valid.

A challenge, a device token and a session all record how their phone was proven. A code that was
sent to the phone proves it permanently. The code of the simulated gateway or of a test phone can be
known to anybody, so it proves a phone only while that setting is in force: once a real gateway is
set, or the phone is no longer listed, every challenge, device token and session that rests on it is
invalid. And nobody becomes an administrator by a code that the public can read.
"""

from __future__ import annotations

from enum import StrEnum

from referral.core.channels import Channel


class Proof(StrEnum):
    """How the code reached the client that entered it."""

    SENT = "sent"
    """In an SMS to the phone (`console://` in development counts as one)."""
    CALLED = "called"
    """In a call to the phone."""
    MESSENGER = "messenger"
    """In a message to the phone by Telegram or WhatsApp, or by a channel that is not known."""
    SIMULATED = "simulated"
    """In the response, by the simulated gateway in development, which only developers reach."""
    OPEN_DEMO = "open_demo"
    """In the response, by the simulated gateway in production, which everybody reaches."""
    TEST_PHONE = "test_phone"
    """From the settings, as the fixed code of a test phone."""

    @property
    def proves_ownership(self) -> bool:
        """Whether only the owner of the phone (or a developer) can have known the code."""
        return self in {*_METHODS, Proof.SIMULATED}

    @property
    def methods(self) -> tuple[str, ...]:
        """The `amr` of tokens (RFC 8176). Empty if the code was not sent to the phone."""
        return (_METHODS[self],) if self in _METHODS else ()


# RFC 8176 has no method for messengers, so theirs is that of any one-time password
_METHODS = {Proof.SENT: "sms", Proof.CALLED: "tel", Proof.MESSENGER: "otp"}
_BY_CHANNEL: dict[Channel | None, Proof] = {
    Channel.SMS: Proof.SENT,
    Channel.VOICE: Proof.CALLED,
}


def of_code(
    channel: Channel | None, *, is_fixed: bool, is_simulated: bool, is_open_demo: bool
) -> Proof:
    """Return the proof that a code issued under these settings gives.

    channel: by which it goes; None if that is not known yet.
    """
    if is_fixed:
        return Proof.TEST_PHONE
    if not is_simulated:
        return _BY_CHANNEL.get(channel, Proof.MESSENGER)
    return Proof.OPEN_DEMO if is_open_demo else Proof.SIMULATED


def is_valid(proof: Proof, *, is_simulated: bool, is_test_phone: bool) -> bool:
    """Return whether a proof is valid under the present settings.

    is_simulated: whether the simulated gateway is set. is_test_phone: whether the phone has a fixed
    code.
    """
    match proof:
        case Proof.SENT | Proof.CALLED | Proof.MESSENGER:
            return True
        case Proof.SIMULATED | Proof.OPEN_DEMO:
            return is_simulated
        case Proof.TEST_PHONE:
            return is_test_phone
