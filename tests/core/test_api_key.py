"""API keys."""

from __future__ import annotations

import secrets

import pytest

from referral.core import api_key
from referral.core.errors import InvalidRequest


def test_keys_are_unique_and_distinguished_from_tokens() -> None:
    keys = {api_key.new(secrets.token_bytes) for _ in range(100)}
    assert len(keys) == 100
    assert all(api_key.is_api_key(key) and len(key) == 46 for key in keys)
    assert not api_key.is_api_key("eyJhbGciOiJFUzI1NiJ9.e30.AAAA")


def test_digest_fits_its_column_and_hides_the_key() -> None:
    key = api_key.new(secrets.token_bytes)
    digest = api_key.digest(key)
    assert len(digest) == 43
    assert digest not in key
    assert digest != api_key.digest(key + "A")


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\0", "a\nb", "\u202e"])
def test_invalid_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        api_key.parse_name(name)
    assert api_key.parse_name(" Billing, v2 ") == "Billing, v2"
