"""Access tokens, refresh tokens, device tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.jwk import JWKSet
from jwcrypto.jwt import JWT

from altered import by_one_character
from referral.core import seal, tokens
from referral.core.errors import InvalidRefreshToken, Unauthorized
from referral.core.keys import Keyring, Purpose
from referral.core.proof import Proof
from referral.core.tokens import Authentication, Issuer, RefreshToken

OLD = b"the old secret of these tests, long enough"
NEW = b"the new secret of these tests, long enough"
KEYS = Keyring([OLD])
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
OWNER = Authentication(
    user_id=UUID(int=1),
    session_id=UUID(int=2),
    at=datetime(2026, 1, 1, 11, 59, tzinfo=UTC),
    methods=("sms",),
)
ISSUER = Issuer(url="https://referral.example", audience="https://app.example", access_life=900)
PHONE = "+79991234567"
SESSION = UUID("6f1e7b0a-0000-4000-8000-000000000001")
USER_ID = "6f1e7b0a-0000-4000-8000-000000000002"
DEVICE = {
    "phone": PHONE,
    "expires_at": 2**40,
    "user_id": USER_ID,
    "generation": 3,
    "proof": "sent",
}

REFRESH = st.builds(
    RefreshToken,
    st.uuids(),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
)
no_deadline = settings(deadline=None)


class TestAccess:
    def test_header_is_that_of_rfc_9068(self) -> None:
        header = json.loads(seal.base64url_decode(_access().split(".")[0]))
        kid = KEYS.current(Purpose.ACCESS).kid
        assert header == {"alg": "ES256", "kid": kid, "typ": "at+jwt"}

    def test_claims_are_those_of_rfc_9068_and_sid(self) -> None:
        """And those of RFC 9470. No phone, no name, nothing else."""
        assert json.loads(seal.base64url_decode(_access().split(".")[1])) == {
            "iss": "https://referral.example",
            "aud": "https://app.example",
            "client_id": "https://app.example",
            "sub": str(OWNER.user_id),
            "sid": str(OWNER.session_id),
            "iat": 1767268800,
            "exp": 1767269700,
            "jti": "Bwc" + "HBwc" * 4 + "HBw",
            "scope": "account",
            "auth_time": 1767268740,
            "amr": ["sms"],
        }

    def test_issued_claims_are_read_back(self) -> None:
        claims = _verify(_access(), now=NOW)
        assert (claims.sub, claims.sid, claims.exp) == (
            str(OWNER.user_id),
            str(OWNER.session_id),
            1767269700,
        )

    def test_it_is_valid_until_exactly_its_expiry(self) -> None:
        token = _access()
        _verify(token, now=NOW + 900 * SECOND - TICK)
        for late in (900 * SECOND, 900 * SECOND + TICK, 901 * SECOND, timedelta(days=365)):
            with pytest.raises(Unauthorized) as refusal:
                _verify(token, now=NOW + late)
            assert refusal.value.reason == "expired"

    def test_cached_claims_do_not_bypass_checks(self) -> None:
        """Neither after its expiry, nor with other keys, nor with another signature."""
        token = _access()
        _verify(token, now=NOW)
        _verify(token, now=NOW, keys=Keyring([NEW, OLD]))
        with pytest.raises(Unauthorized):
            _verify(token, now=NOW, keys=Keyring([NEW]))
        other = _access(now=NOW + SECOND).rpartition(".")[2]
        with pytest.raises(Unauthorized):
            _verify(f"{token.rpartition('.')[0]}.{other}", now=NOW)
        with pytest.raises(Unauthorized):
            _verify(token, now=NOW + 900 * SECOND)

    @pytest.mark.parametrize(
        "other",
        [
            {"url": "https://other.example"},
            {"url": "https://referral.example/"},
            {"url": "http://referral.example"},
        ],
    )
    def test_another_issuer_is_refused(self, other: dict[str, Any]) -> None:
        """Also if the key is the same."""
        issuer = replace(ISSUER, **other)
        with pytest.raises(Unauthorized):
            _verify(_access(issuer=issuer), now=NOW)

    def test_change_of_any_character_is_refused(self) -> None:
        for changed in by_one_character(_access()):
            with pytest.raises(Unauthorized):
                _verify(changed, now=NOW)

    @no_deadline
    @given(st.text())
    def test_any_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(Unauthorized):
            _verify(text, now=NOW)

    def test_every_listed_secret_verifies_in_a_rotation(self) -> None:
        """`old,new`, then `new,old`, then `new`."""
        of_old, of_new = _access(keys=Keyring([OLD, NEW])), _access(keys=Keyring([NEW, OLD]))
        for secrets in ([OLD, NEW], [NEW, OLD]):
            for token in (of_old, of_new):
                _verify(token, now=NOW, keys=Keyring(secrets))
        _verify(of_new, now=NOW, keys=Keyring([NEW]))
        with pytest.raises(Unauthorized):
            _verify(of_old, now=NOW, keys=Keyring([NEW]))

    @pytest.mark.parametrize("secrets", [[OLD], [OLD, NEW], [NEW, OLD]])
    def test_published_keys_verify_it(self, secrets: list[bytes]) -> None:
        keys = Keyring(secrets)
        published = JWKSet.from_json(json.dumps({"keys": tokens.public_keys(keys)}))
        # Far ahead, because the library compares with the real time
        token = _access(keys=keys, now=datetime(2100, 1, 1, tzinfo=UTC))
        claims = {"iss": ISSUER.url, "aud": ISSUER.audience, "exp": None}
        checked = JWT(jwt=token, key=published, algs=["ES256"], check_claims=claims)
        assert json.loads(checked.claims)["sub"] == str(OWNER.user_id)

    def test_every_public_key_is_published(self) -> None:
        keys = Keyring([NEW, OLD])
        published: list[dict[str, Any]] = tokens.public_keys(keys)
        assert [key["kid"] for key in published] == [key.kid for key in keys.all(Purpose.ACCESS)]
        for key in published:
            assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}


class TestRefresh:
    @given(REFRESH)
    def test_token_is_parsed_back(self, token: RefreshToken) -> None:
        assert tokens.parse_refresh(token.text) == token
        assert len(token.text) == 86

    def test_new_token_draws_48_random_bytes(self) -> None:
        drawn: list[int] = []

        def token_bytes(count: int) -> bytes:
            drawn.append(count)
            return bytes([len(drawn)]) * count

        token = tokens.new_refresh(SESSION, token_bytes=token_bytes)
        assert drawn == [16, 32]
        assert token == RefreshToken(SESSION, b"\1" * 16, b"\2" * 32)

    def test_changed_character_never_gives_the_same_token(self) -> None:
        """It is refused, or is another token, whose digest the database does not have."""
        token = RefreshToken(SESSION, bytes(range(16)), bytes(range(32)))
        for changed in by_one_character(token.text):
            try:
                read = tokens.parse_refresh(changed)
            except InvalidRefreshToken:
                continue
            assert read.text == changed
            assert tokens.digest(read) != tokens.digest(token)

    @given(
        st.text()
        | st.binary(min_size=1).filter(lambda raw: len(raw) != 64).map(seal.base64url_encode)
    )
    def test_any_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRefreshToken):
            tokens.parse_refresh(text)

    @given(REFRESH)
    def test_successor_depends_only_on_the_token(self, token: RefreshToken) -> None:
        """So two tabs that refresh together get the same one, of the same session and family."""
        (successor,) = tokens.successors(token, data_keys=KEYS)
        assert tokens.successors(tokens.parse_refresh(token.text), data_keys=KEYS) == (successor,)
        assert (successor.session_id, successor.family) == (token.session_id, token.family)
        assert tokens.family_digest(successor) == tokens.family_digest(token)
        assert tokens.digest(successor) != tokens.digest(token)
        assert len(successor.rotating) == 32

    @given(REFRESH, REFRESH)
    def test_two_tokens_have_different_successors(
        self, one: RefreshToken, other: RefreshToken
    ) -> None:
        if one != other:
            assert tokens.successors(one, data_keys=KEYS) != tokens.successors(
                other, data_keys=KEYS
            )

    @given(REFRESH)
    def test_chain_of_successors_never_repeats(self, token: RefreshToken) -> None:
        seen = {token}
        for _ in range(20):
            (token,) = tokens.successors(token, data_keys=KEYS)
            assert token not in seen
            seen.add(token)

    @given(REFRESH)
    def test_each_data_key_gives_its_own_successor(self, token: RefreshToken) -> None:
        """The current one comes first; one made while another key was current is still found."""
        old, new = (tokens.successors(token, data_keys=Keyring([each]))[0] for each in (OLD, NEW))
        assert old.rotating != new.rotating
        assert tokens.successors(token, data_keys=Keyring([NEW, OLD])) == (new, old)

    @given(REFRESH, st.integers(0, 2**63 - 1))
    def test_late_repeats_give_different_successors(self, token: RefreshToken, late: int) -> None:
        """So the one that it replaces is no longer valid."""
        made = [
            tokens.successors(token, data_keys=Keyring([OLD, NEW]), late_repeats_tat=each)
            for each in (None, late, late + 1)
        ]
        assert len({each.text for some in made for each in some}) == 6
        assert {(each.session_id, each.family) for some in made for each in some} == {
            (token.session_id, token.family)
        }
        assert made[1] == tokens.successors(
            token, data_keys=Keyring([OLD, NEW]), late_repeats_tat=late
        )

    @given(REFRESH)
    def test_digests_are_sha_256(self, token: RefreshToken) -> None:
        """Another digest would end every session."""
        assert tokens.digest(token) == sha256(token.text.encode()).digest()
        assert tokens.family_digest(token) == sha256(token.family).digest()


class TestDevice:
    def test_it_is_valid_for_exactly_180_days(self) -> None:
        token = _device(PHONE, data_keys=KEYS)
        end = NOW + timedelta(days=180)
        assert _is_valid(token, now=NOW)
        assert _is_valid(token, now=end - TICK)
        assert not _is_valid(token, now=end)
        assert not _is_valid(token, now=end + SECOND)

    def test_change_of_any_character_makes_it_invalid(self) -> None:
        for changed in by_one_character(_device(PHONE, data_keys=KEYS)):
            assert not _is_valid(changed, now=NOW)

    @no_deadline
    @given(st.text())
    def test_any_other_text_is_invalid(self, text: str) -> None:
        assert not _is_valid(text, now=NOW)

    @pytest.mark.parametrize("purpose", [Purpose.SIGN_IN, Purpose.CHANGE_PHONE, Purpose.DATA_KEY])
    def test_key_of_another_purpose_makes_it_invalid(self, purpose: Purpose) -> None:
        payload = json.dumps(DEVICE).encode()
        assert _is_valid(seal.encrypt(payload, KEYS.current(Purpose.DEVICE)), now=NOW)
        assert not _is_valid(seal.encrypt(payload, KEYS.current(purpose)), now=NOW)

    def test_it_carries_the_user_phone_generation_and_proof(self) -> None:
        device = tokens.verify_device(_device(PHONE, data_keys=KEYS), now=NOW, data_keys=KEYS)
        assert device is not None
        assert (device.phone, device.user_id) == (PHONE, USER_ID)
        assert (device.generation, device.proof) == (3, Proof.SENT)

    @pytest.mark.parametrize("missing", ["user_id", "generation", "proof"])
    def test_missing_field_makes_it_invalid(self, missing: str) -> None:
        """The release before issued such tokens, which nothing could end."""
        payload = {name: value for name, value in DEVICE.items() if name != missing}
        token = seal.encrypt(json.dumps(payload).encode(), KEYS.current(Purpose.DEVICE))
        assert not _is_valid(token, now=NOW)

    def test_it_is_valid_while_its_data_key_is_readable(self) -> None:
        token = _device(PHONE, data_keys=Keyring([OLD, NEW]))
        assert _is_valid(token, now=NOW, data_keys=Keyring([NEW, OLD]))
        assert not _is_valid(token, now=NOW, data_keys=Keyring([NEW]))

    def test_length_does_not_depend_on_the_phone(self) -> None:
        phones = ("+29012345", PHONE, "+123456789012345")
        lengths = {len(_device(phone, data_keys=KEYS)) for phone in phones}
        assert len(lengths) == 1


def _access(*, issuer: Issuer = ISSUER, keys: Keyring = KEYS, now: datetime = NOW) -> str:
    return tokens.issue_access(
        OWNER,
        issuer=issuer,
        grant=issuer.own_grant,
        now=now,
        keys=keys,
        token_bytes=lambda count: b"\7" * count,
    )


def _verify(token: str, *, now: datetime, keys: Keyring = KEYS) -> tokens.AccessClaims:
    return tokens.verify_access(token, issuer=ISSUER, now=now, keys=keys)


def _is_valid(token: str, *, now: datetime, data_keys: Keyring = KEYS) -> bool:
    return tokens.verify_device(token, now=now, data_keys=data_keys) is not None


def _device(phone: str, *, data_keys: Keyring) -> str:
    return tokens.issue_device(
        phone, user_id=USER_ID, generation=3, proof=Proof.SENT, now=NOW, data_keys=data_keys
    )
