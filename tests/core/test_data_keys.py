"""Kept secrets outlive a rotation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altered import by_one_character
from referral.core import data_keys, seal
from referral.core.keys import Keyring, Purpose

OLD = b"the old secret of these tests, long enough"
NEW = b"the new secret of these tests, long enough"
SECRET = bytes(range(32))


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_a_secret_comes_back(secret: bytes) -> None:
    keys = Keyring([OLD])
    assert data_keys.decrypt(data_keys.encrypt(secret, keys=keys), keys=keys) == secret


def test_what_another_secret_sealed_gives_nothing() -> None:
    sealed = data_keys.encrypt(SECRET, keys=Keyring([OLD]))
    assert data_keys.decrypt(sealed, keys=Keyring([NEW])) is None
    assert not data_keys.is_current(sealed, keys=Keyring([NEW]))


def test_while_the_secret_rotates_the_first_key_alone_is_current() -> None:
    sealed = data_keys.encrypt(SECRET, keys=Keyring([OLD, NEW]))
    for secrets, current in (([OLD, NEW], True), ([NEW, OLD], False)):
        keys = Keyring(secrets)
        assert data_keys.decrypt(sealed, keys=keys) == SECRET
        assert data_keys.is_current(sealed, keys=keys) is current


def test_wrapped_anew_it_opens_without_the_old_secret() -> None:
    both, new = Keyring([NEW, OLD]), Keyring([NEW])
    opened = data_keys.decrypt(data_keys.encrypt(SECRET, keys=Keyring([OLD])), keys=both)
    assert opened is not None
    assert data_keys.decrypt(data_keys.encrypt(opened, keys=both), keys=new) == SECRET


def test_every_change_of_one_character_gives_nothing() -> None:
    keys = Keyring([OLD])
    for changed in by_one_character(data_keys.encrypt(SECRET, keys=keys)):
        assert data_keys.decrypt(changed, keys=keys) is None
        assert not data_keys.is_current(changed, keys=keys)


@pytest.mark.parametrize(
    "purpose", [each for each in Purpose if each not in {"data key", "access token"}]
)
def test_what_was_sealed_for_another_purpose_gives_nothing(purpose: Purpose) -> None:
    keys = Keyring([OLD])
    sealed = seal.encrypt(b'"AAAA"', keys.current(purpose))
    assert data_keys.decrypt(sealed, keys=keys) is None
