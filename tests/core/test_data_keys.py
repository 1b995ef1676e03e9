"""Data keys survive a rotation of the secret."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altered import by_one_character
from referral.core import data_keys, seal
from referral.core.keys import Keyring, Purpose

OLD = b"the old secret of these tests, long enough"
NEW = b"the new secret of these tests, long enough"
DATA_KEY = bytes(range(32))


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_encrypted_data_key_is_decrypted(data_key: bytes) -> None:
    keys = Keyring([OLD])
    assert data_keys.decrypt(data_keys.encrypt(data_key, keys=keys), keys=keys) == data_key


def test_another_secret_does_not_decrypt() -> None:
    encrypted = data_keys.encrypt(DATA_KEY, keys=Keyring([OLD]))
    assert data_keys.decrypt(encrypted, keys=Keyring([NEW])) is None
    assert not data_keys.is_current(encrypted, keys=Keyring([NEW]))


def test_only_the_first_key_is_current_in_a_rotation() -> None:
    encrypted = data_keys.encrypt(DATA_KEY, keys=Keyring([OLD, NEW]))
    for secrets, current in (([OLD, NEW], True), ([NEW, OLD], False)):
        keys = Keyring(secrets)
        assert data_keys.decrypt(encrypted, keys=keys) == DATA_KEY
        assert data_keys.is_current(encrypted, keys=keys) is current


def test_encrypted_again_it_needs_only_the_new_secret() -> None:
    both, new = Keyring([NEW, OLD]), Keyring([NEW])
    data_key = data_keys.decrypt(data_keys.encrypt(DATA_KEY, keys=Keyring([OLD])), keys=both)
    assert data_key is not None
    assert data_keys.decrypt(data_keys.encrypt(data_key, keys=both), keys=new) == DATA_KEY


def test_change_of_any_character_is_refused() -> None:
    keys = Keyring([OLD])
    for changed in by_one_character(data_keys.encrypt(DATA_KEY, keys=keys)):
        assert data_keys.decrypt(changed, keys=keys) is None
        assert not data_keys.is_current(changed, keys=keys)


@pytest.mark.parametrize(
    "purpose", [each for each in Purpose if each not in {Purpose.DATA_KEY, Purpose.ACCESS}]
)
def test_key_of_another_purpose_does_not_decrypt(purpose: Purpose) -> None:
    keys = Keyring([OLD])
    encrypted = seal.encrypt(b'"AAAA"', keys.current(purpose))
    assert data_keys.decrypt(encrypted, keys=keys) is None
