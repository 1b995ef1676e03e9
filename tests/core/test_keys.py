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
def test_every_purpose_has_its_own_key(secret: bytes) -> None:
    """None is the beginning of another, nor the secret itself."""
    ring = Keyring([secret])
    keys = [ring.current(purpose).secret for purpose in Purpose] + [secret]
    for one, other in combinations(keys, 2):
        assert one[:32] != other[:32]


@given(SECRETS)
def test_the_same_secret_always_gives_the_same_keys(secret: bytes) -> None:
    """So every worker has them, and they outlive a restart."""
    for purpose in Purpose:
        assert Keyring([secret]).all(purpose) == Keyring([secret]).all(purpose)


@given(st.lists(SECRETS, min_size=1, max_size=4))
def test_the_first_makes_and_all_read(secrets: list[bytes]) -> None:
    ring = Keyring(secrets)
    for purpose in Purpose:
        assert ring.all(purpose) == tuple(Keyring([each]).current(purpose) for each in secrets)
        assert ring.current(purpose) == ring.all(purpose)[0]


@given(SECRETS, st.sampled_from(Purpose))
def test_keys_are_derived_as_rfc_5869_says(secret: bytes, purpose: Purpose) -> None:
    """Computed anew here, by hand: with other keys every token in use would break."""
    key = Keyring([secret]).current(purpose)
    expected = _hkdf(secret, b"key: " + purpose.value.encode(), 2)
    assert key.secret == expected[: 48 if purpose == Purpose.ACCESS else 32]
    assert key.kid == urlsafe_b64encode(_hkdf(secret, b"kid", 1)[:6]).decode()


def test_the_words_of_the_purposes_stay() -> None:
    """They go into the derivation: with another word every token in use would break."""
    assert {purpose.name: purpose.value for purpose in Purpose} == {
        "SIGN_IN": "challenge: sign in",
        "CHANGE_PHONE": "challenge: change phone",
        "CODE": "digest of a code",
        "ACCESS": "access token",
        "DATA_KEY": "data key",
        "DEVICE": "device token",
        "REFRESH": "successor of a refresh token",
        "COUNTER": "key of a counter",
        "ACTIVATION": "digest of a phone that activated",
    }


@pytest.mark.parametrize("secrets", [[], [b""], [b"x" * 31], [b"x" * 32, b"x" * 31]])
def test_no_secret_or_a_short_one_makes_no_ring(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes or more"):
        Keyring(secrets)


def test_a_key_does_not_print_its_secret() -> None:
    key = Keyring([b"x" * 32]).current(Purpose.CODE)
    assert repr(key) == f"Key(kid={key.kid!r})"


def _hkdf(secret: bytes, info: bytes, blocks: int) -> bytes:
    """RFC 5869, section 2, with SHA-256."""
    extracted = hmac.digest(b"referral/1", secret, sha256)
    block, output = b"", b""
    for number in range(1, blocks + 1):
        block = hmac.digest(extracted, block + info + bytes([number]), sha256)
        output += block
    return output
