"""Challenges: their content, who can decrypt them, when they expire."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altered import by_one_character
from referral.core import challenge, seal
from referral.core.channels import Channel
from referral.core.errors import ChallengeExpired, ChallengeInvalid, InvalidRequest
from referral.core.keys import Keyring, Purpose
from referral.core.proof import Proof

OLD = b"the old secret of these tests, long enough"
NEW = b"the new secret of these tests, long enough"
KEYS = Keyring([OLD])
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
PHONE = "+79991234567"
USER = "6f1e7b0a-0000-4000-8000-000000000001"
CODES = st.from_regex(r"[0-9]{4,8}", fullmatch=True)

no_deadline = settings(deadline=None)


def test_content_of_a_challenge() -> None:
    """The code itself is not in it, only its digest and its length."""
    payload = _payload(_issue(code="27182818"))
    digest = hmac.digest(
        KEYS.current(Purpose.CODE).secret,
        f"{payload['id']}.{payload['salt']}.27182818".encode(),
        sha256,
    )
    assert payload == {
        "id": "AQEBAQEBAQEBAQEBAQEBAQ",
        "purpose": "sign-in challenge",
        "phone": PHONE,
        "salt": "AQEBAQEBAQEBAQEBAQEBAQ",
        "digest": seal.base64url_encode(digest),
        "code_length": 8,
        "expires_at": 1767268920,
        "user_id": None,
        "known_device": False,
        "as_stranger": False,
        "address": "",
        "shared_device": "",
        "proof": "sent",
        "channel": "sms",
        "channel_is_tentative": False,
    }


def test_issued_challenge_is_decrypted() -> None:
    token = _issue(purpose=Purpose.CHANGE_PHONE, user_id=USER)
    decrypted = challenge.decrypt(token, purpose=Purpose.CHANGE_PHONE, now=NOW, keys=KEYS)
    assert (decrypted.purpose, decrypted.phone, decrypted.user_id) == (
        Purpose.CHANGE_PHONE,
        PHONE,
        USER,
    )
    assert (decrypted.code_length, decrypted.expires_at) == (4, 1767268920)


def test_resend_gives_another_challenge_for_the_code() -> None:
    """Id, salt and digest differ."""
    fresh = _fresh()
    one, other = (
        _payload(_issue(challenge_id=challenge.new_id(fresh), token_bytes=fresh)) for _ in range(2)
    )
    assert all(one[name] != other[name] for name in ("id", "salt", "digest"))


@pytest.mark.parametrize("code", ["0391", "039127", "03912718"])
def test_code_is_not_in_the_token(code: str) -> None:
    token = _issue(code=code)
    assert code not in token
    assert code.encode() not in seal.decrypt(token, KEYS.all(Purpose.SIGN_IN))


@given(CODES, CODES)
def test_only_its_code_matches(code: str, guess: str) -> None:
    decrypted = _decrypt(_issue(code=code))
    assert challenge.code_matches(decrypted, code, keys=KEYS)
    assert challenge.code_matches(decrypted, guess, keys=KEYS) is (guess == code)


@pytest.mark.parametrize(
    "guess", ["", "391", "00391", "0391 ", " 0391", "0391\0", "0391\n", "391.0", "\u0660391"]
)
def test_text_that_only_looks_like_the_code_is_wrong(guess: str) -> None:
    assert not challenge.code_matches(_decrypt(_issue(code="0391")), guess, keys=KEYS)


def test_digest_cannot_be_searched_without_the_key() -> None:
    """Not even with the decrypted content: try all 10,000 codes without the key or with another."""
    payload = _payload(_issue(code="0391"))
    keys = [
        b"",
        OLD,
        KEYS.current(Purpose.SIGN_IN).secret,
        Keyring([NEW]).current(Purpose.CODE).secret,
    ]
    for key in keys:
        for number in range(10_000):
            text = f"{payload['id']}.{payload['salt']}.{number:04}"
            assert (
                seal.base64url_encode(hmac.digest(key, text.encode(), sha256)) != payload["digest"]
            )


def test_it_expires_at_its_exact_second() -> None:
    token = _issue(life=120)
    end = NOW + timedelta(seconds=120)
    _decrypt(token, now=end - TICK)
    for late in (end, end + TICK, end + timedelta(days=1000)):
        with pytest.raises(ChallengeExpired):
            _decrypt(token, now=late)


@given(st.integers(30, 600), st.integers(0, 999_999))
def test_it_never_outlives_its_life(life: int, microseconds: int) -> None:
    """A fraction of a second at the start is taken from its life, never added."""
    start = NOW + timedelta(microseconds=microseconds)
    token = _issue(life=life, now=start)
    _decrypt(token, now=NOW + timedelta(seconds=life) - TICK)
    with pytest.raises(ChallengeExpired):
        _decrypt(token, now=NOW + timedelta(seconds=life))


def test_change_of_any_character_is_refused() -> None:
    for changed in by_one_character(_issue()):
        with pytest.raises(ChallengeInvalid):
            _decrypt(changed)


@no_deadline
@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ChallengeInvalid):
        _decrypt(text)


@pytest.mark.parametrize("purpose", [Purpose.SIGN_IN, Purpose.CHANGE_PHONE])
def test_challenge_of_another_purpose_is_refused(purpose: Purpose) -> None:
    other = Purpose.SIGN_IN if purpose is Purpose.CHANGE_PHONE else Purpose.CHANGE_PHONE
    with pytest.raises(ChallengeInvalid) as refusal:
        challenge.decrypt(_issue(purpose=purpose), purpose=other, now=NOW, keys=KEYS)
    assert refusal.value.reason == "decryption failed"


def test_device_token_is_refused() -> None:
    payload = json.dumps(_payload(_issue())).encode()
    _decrypt(seal.encrypt(payload, KEYS.current(Purpose.SIGN_IN)))
    with pytest.raises(ChallengeInvalid):
        _decrypt(seal.encrypt(payload, KEYS.current(Purpose.DEVICE)))


def test_every_listed_secret_decrypts_in_a_rotation() -> None:
    """`old,new`, then `new,old`, then `new`: both the encryption and the digest of the code."""
    of_old, of_new = _issue(keys=Keyring([OLD, NEW])), _issue(keys=Keyring([NEW, OLD]))
    for keys in (Keyring([OLD, NEW]), Keyring([NEW, OLD])):
        for token in (of_old, of_new):
            decrypted = _decrypt(token, keys=keys)
            assert challenge.code_matches(decrypted, "0391", keys=keys)
            assert not challenge.code_matches(decrypted, "0392", keys=keys)
    assert challenge.code_matches(
        _decrypt(of_new, keys=Keyring([NEW])), "0391", keys=Keyring([NEW])
    )
    with pytest.raises(ChallengeInvalid):
        _decrypt(of_old, keys=Keyring([NEW]))


def test_length_does_not_depend_on_the_phone() -> None:
    """Nor on anything else in it, alone or with the rest."""
    values: dict[str, tuple[object, ...]] = {
        "purpose": (Purpose.SIGN_IN, Purpose.CHANGE_PHONE),
        "phone": ("+29012345", PHONE, "+123456789012345"),
        "user_id": (None, USER),
        "code": ("0391", "03912718"),
        "life": (30, 600),
        "known_device": (False, True),
        "as_stranger": (False, True),
        "address": ("", "::1", "2001:db8:1111:2222:3333:4444:5555:6666"),
        "shared_device": ("", "x" * 22),
        "proof": tuple(Proof),
        "channel": (Channel.SMS, Channel.WHATSAPP),
        "channel_is_tentative": (False, True),
    }
    combinations = product(*values.values())
    lengths = {len(_issue(**dict(zip(values, each, strict=True)))) for each in combinations}
    assert len(lengths) == 1


class TestNewCode:
    @given(st.integers(4, 8), st.data())
    def test_it_is_one_draw_among_all_codes_of_its_length(
        self, length: int, data: st.DataObject
    ) -> None:
        asked: list[int] = []

        def randbelow(below: int) -> int:
            asked.append(below)
            return data.draw(st.integers(0, below - 1))

        code = challenge.new_code(length, randbelow)
        assert asked == [10**length]
        assert len(code) == length
        assert code.isascii()
        assert code.isdigit()

    def test_leading_zeros_are_kept(self) -> None:
        assert challenge.new_code(4, lambda _: 7) == "0007"
        assert challenge.new_code(8, lambda _: 0) == "00000000"


class TestParseCode:
    @pytest.mark.parametrize(
        "text",
        [
            "5847",
            " 58 47\n",
            "58-47",
            "5\u20118\u22124\u20147",
            "\u20685847\u2069\u200e",
            "\u0665\u0668\u0664\u0667",
            "\uff15\uff18\uff14\uff17",
            "\u096b\u096e\u096a\u096d",
            "13:40 Bloom: 5847",
            "13:40 Bloom: 5847 is your code for 2026-1.\n@referral.example #5847",
            "1234 is no code.\n@referral.example #5847",
            "# Bloom: 5847",
            "\u0665\u0668\u0664\u0667 is your code",
            "5847" + " " * 996,
        ],
    )
    def test_typed_and_pasted_codes_are_parsed(self, text: str) -> None:
        assert challenge.parse_code(text, 4) == "5847"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "584",
            "58475",
            "12:30 5847 1234",
            "5847 #58475",
            "58.47",
            "five",
            "\u2464\u2467\u2463\u2466",  # circled: no decimal digits
            "5847" + " " * 997,
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            challenge.parse_code(text, 4)
        assert [error["field"] for error in refused.value.members["errors"]] == ["code"]

    @given(st.text(st.sampled_from("5847# -:\n\u200e\u0665a"), max_size=30), st.integers(4, 8))
    def test_any_text_is_a_code_of_the_length_or_refused(self, text: str, length: int) -> None:
        try:
            code = challenge.parse_code(text, length)
        except InvalidRequest:
            return
        assert len(code) == length
        assert code.isascii()
        assert code.isdigit()
        assert challenge.parse_code(code, length) == code


def _fresh() -> Callable[[int], bytes]:
    numbers = count(1)
    return lambda length: bytes([next(numbers)]) * length


@pytest.mark.parametrize("purpose", [Purpose.SIGN_IN, Purpose.CHANGE_PHONE])
def test_the_largest_challenge_has_the_length_of_every_other(purpose: Purpose) -> None:
    largest = _issue(
        purpose=purpose,
        phone="+" + 15 * "9",
        code="12345678",
        user_id="0198c2f4-5a1b-7c3d-8e9f-0123456789ab",
        address="2001:db8:1111:2222:3333:4444:5555:6666",
        shared_device=seal.base64url_encode(bytes(32)),
        proof=max(Proof, key=len),
        channel=max(Channel, key=len),
        channel_is_tentative=True,
    )
    assert len(largest) == len(_issue(purpose=purpose))


def _issue(**changes: Any) -> str:
    arguments = {
        "challenge_id": "AQEBAQEBAQEBAQEBAQEBAQ",
        "purpose": Purpose.SIGN_IN,
        "phone": PHONE,
        "code": "0391",
        "life": 120,
        "now": NOW,
        "keys": KEYS,
        "token_bytes": _fresh(),
        "proof": Proof.SENT,
    }
    return challenge.issue(**{**arguments, **changes})


def _decrypt(token: str, *, now: datetime = NOW, keys: Keyring = KEYS) -> challenge.Challenge:
    return challenge.decrypt(token, purpose=Purpose.SIGN_IN, now=now, keys=keys)


def _payload(token: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(seal.decrypt(token, KEYS.all(Purpose.SIGN_IN)))
    return payload
