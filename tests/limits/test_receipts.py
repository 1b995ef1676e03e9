"""Receipts: what a message was charged to, which its provider returns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from referral.core import seal
from referral.core.keys import Keyring
from referral.limits import receipts
from referral.limits.receipts import Receipt
from referral.limits.scope import LimitScope

AT = datetime(2026, 11, 30, 12, 0, 1, tzinfo=UTC)
KEYS, OTHER = Keyring((b"a" * 32,)), Keyring((b"b" * 32,))
COUNTER_KEY = b"counter key of the tests"


def receipt(**changed: object) -> Receipt:
    scope = {"phone": "+79991234567", "address": "192.0.2.7", "known_device": False, "weight": 1}
    return Receipt(
        challenge_id=seal.base64url_encode(bytes(range(16))),
        scope=LimitScope(**{**scope, **changed}, key=COUNTER_KEY),  # type: ignore[arg-type]
        at=AT,
    )


def decoded(text: str, keys: Keyring = KEYS) -> Receipt | None:
    return receipts.decode(text, keys, counter_key=COUNTER_KEY)


@pytest.mark.parametrize(
    "found",
    [
        receipt(),
        receipt(address="2001:db8:1:2:3:4:5:6", phone="+999999999999999", weight=1000),
        receipt(known_device=True),
        receipt(address=""),
    ],
)
def test_a_receipt_says_what_was_charged(found: Receipt) -> None:
    text = receipts.encode(found, KEYS)
    assert decoded(text) == found
    assert len(text) <= 100


def test_a_device_treated_as_a_stranger_was_charged_as_one() -> None:
    found = decoded(receipts.encode(receipt(known_device=True, as_stranger=True), KEYS))
    assert found == receipt()


def test_an_address_that_is_none_is_left_out() -> None:
    assert decoded(receipts.encode(receipt(address="testclient"), KEYS)) == receipt(address="")


def test_only_receipts_of_ours_are_read() -> None:
    text = receipts.encode(receipt(), KEYS)
    assert decoded(text, OTHER) is None
    assert decoded(receipts.encode(receipt(), OTHER)) is None
    for wrong in ("", "x", text[:-4], text + "AAAA", f"{text[:-1]}!", text.swapcase()):
        assert decoded(wrong) is None


def test_equal_receipts_differ() -> None:
    assert len({receipts.encode(receipt(), KEYS) for _ in range(100)}) == 100
