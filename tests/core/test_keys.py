"""One purpose, one key."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referral.core.keys import MIN_SECRET_BYTES, Keyring, Purpose

SECRETS = st.binary(min_size=MIN_SECRET_BYTES, max_size=100)


@given(SECRETS)
def test_each_purpose_has_its_own_key(secret: bytes) -> None:
    """No key is a prefix of another, or the secret itself."""
    ring = Keyring([secret])
    keys = [ring.current(purpose).secret for purpose in Purpose] + [secret]
    for one, other in combinations(keys, 2):
        assert one[:32] != other[:32]


@given(SECRETS)
def test_derivation_is_deterministic(secret: bytes) -> None:
    """Every worker derives the same keys, also after a restart."""
    for purpose in Purpose:
        assert Keyring([secret]).all(purpose) == Keyring([secret]).all(purpose)


@given(st.lists(SECRETS, min_size=1, max_size=4))
def test_first_secret_gives_the_current_key(secrets: list[bytes]) -> None:
    ring = Keyring(secrets)
    for purpose in Purpose:
        assert ring.all(purpose) == tuple(Keyring([each]).current(purpose) for each in secrets)
        assert ring.current(purpose) == ring.all(purpose)[0]


@given(SECRETS, st.sampled_from(Purpose))
def test_keys_are_derived_as_in_rfc_5869(secret: bytes, purpose: Purpose) -> None:
    """Compare with HKDF written by hand: other keys would invalidate every token in use."""
    key = Keyring([secret]).current(purpose)
    expected = _hkdf(secret, b"key: " + purpose.value.encode(), 2)
    assert key.secret == expected[: 48 if purpose == Purpose.ACCESS else 32]
    assert key.kid == urlsafe_b64encode(_hkdf(secret, b"kid", 1)[:6]).decode()


def test_values_of_the_purposes_do_not_change() -> None:
    """They are input to the derivation: another value would invalidate every token in use."""
    assert {purpose.name: purpose.value for purpose in Purpose} == {
        "SIGN_IN": "sign-in challenge",
        "CHANGE_PHONE": "change-phone challenge",
        "CODE": "sign-in code digest",
        "ACCESS": "access token",
        "DATA_KEY": "data key",
        "DEVICE": "device token",
        "REFRESH": "refresh token successor",
        "COUNTER": "counter key",
        "ACTIVATION": "activated phone digest",
        "AUTHORIZATION_REQUEST": "authorization request",
        "AUTHORIZATION_CODE": "authorization code",
        "LOGOUT_REQUEST": "logout request",
        "SIGNING_KEY": "ID token signing key",
        "REWARD_REQUEST": "reward request digest",
        "ADDRESS": "session address digest",
        "SHARED_DEVICE": "shared device digest",
        "RECEIPT": "message receipt",
        "HANDSHAKE": "webhook verify token",
    }


@pytest.mark.parametrize("secrets", [[], [b""], [b"x" * 31], [b"x" * 32, b"x" * 31]])
def test_missing_or_short_secrets_are_refused(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes or more"):
        Keyring(secrets)


def test_repr_of_a_key_hides_its_secret() -> None:
    key = Keyring([b"x" * 32]).current(Purpose.CODE)
    assert repr(key) == f"Key(kid={key.kid!r})"


def _hkdf(secret: bytes, info: bytes, blocks: int) -> bytes:
    """Derive blocks of 32 bytes (RFC 5869, section 2, with SHA-256)."""
    extracted = hmac.digest(b"referral/1", secret, sha256)
    block, output = b"", b""
    for number in range(1, blocks + 1):
        block = hmac.digest(extracted, block + info + bytes([number]), sha256)
        output += block
    return output
