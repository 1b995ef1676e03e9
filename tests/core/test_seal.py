"""Encrypted and signed tokens are read in one form only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from altered import by_one_character
from referral.core import seal
from referral.core.keys import Key, Keyring, Purpose

OLD = b"the old secret of these tests, long enough"
NEW = b"the new secret of these tests, long enough"
KEYS = Keyring([OLD])
KEY = KEYS.current(Purpose.SIGN_IN)
SIGNING = KEYS.current(Purpose.ACCESS)
TYP = "at+jwt"
PAYLOAD = b'{"phone":"+79991234567"}'

RSA = JWK.generate(kty="RSA", size=2048)

# The order of P-256 (SEC 2, section 2.4.2) and the prime of its field
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF

no_deadline = settings(deadline=None)


class TestEncrypted:
    @no_deadline
    @given(st.binary(max_size=seal.PADDED_BYTES))
    def test_encrypted_payload_is_decrypted(self, payload: bytes) -> None:
        """Followed by spaces, which JSON ignores."""
        decrypted = seal.decrypt(seal.encrypt(payload, KEY), [KEY])
        assert decrypted == payload.ljust(seal.PADDED_BYTES)

    @no_deadline
    @given(st.binary(max_size=seal.PADDED_BYTES))
    def test_all_tokens_have_the_same_length(self, payload: bytes) -> None:
        token = seal.encrypt(payload, KEY)
        assert len(token) == len(seal.encrypt(b"", KEY)) <= seal.MAX_ENCRYPTED_LENGTH

    def test_payload_over_the_limit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at most 512 bytes"):
            seal.encrypt(b"x" * 513, KEY)

    def test_encrypting_twice_gives_different_tokens(self) -> None:
        """The initialisation vector is never used twice."""
        vectors = {seal.encrypt(PAYLOAD, KEY).split(".")[2] for _ in range(1000)}
        assert len(vectors) == 1000

    def test_header_names_the_algorithms_and_the_key(self) -> None:
        header, encrypted_key, *_ = seal.encrypt(PAYLOAD, KEY).split(".")
        assert json.loads(seal.base64url_decode(header)) == {
            "alg": "dir",
            "enc": "A256GCM",
            "kid": KEY.kid,
        }
        assert not encrypted_key

    def test_change_of_any_character_is_refused(self) -> None:
        for changed in by_one_character(seal.encrypt(PAYLOAD, KEY)):
            with pytest.raises(seal.BadToken):
                seal.decrypt(changed, [KEY])

    @no_deadline
    @given(st.text())
    def test_any_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(seal.BadToken):
            seal.decrypt(text, [KEY])

    @pytest.mark.parametrize("purpose", [each for each in Purpose if each != Purpose.SIGN_IN])
    def test_key_of_another_purpose_is_refused(self, purpose: Purpose) -> None:
        with pytest.raises(seal.BadToken):
            seal.decrypt(seal.encrypt(PAYLOAD, KEY), KEYS.all(purpose))

    def test_key_of_another_secret_does_not_decrypt(self) -> None:
        other = Keyring([NEW]).current(Purpose.SIGN_IN)
        token = seal.encrypt(PAYLOAD, KEY)
        with pytest.raises(seal.BadToken, match="header"):
            seal.decrypt(token, [other])
        with pytest.raises(seal.BadToken, match="decryption failed"):
            seal.decrypt(token, [Key(KEY.kid, other.secret)])

    def test_right_secret_with_another_kid_is_refused(self) -> None:
        with pytest.raises(seal.BadToken, match="header"):
            seal.decrypt(seal.encrypt(PAYLOAD, KEY), [Key("AAAAAAAA", KEY.secret)])

    def test_no_key_decrypts_nothing(self) -> None:
        with pytest.raises(seal.BadToken):
            seal.decrypt(seal.encrypt(PAYLOAD, KEY), [])

    def test_both_secrets_decrypt_during_a_rotation(self) -> None:
        """`old`; `old,new`; `new,old`; `new`: a token of an earlier step is read until the last."""
        rings = [Keyring(secrets) for secrets in ([OLD], [OLD, NEW], [NEW, OLD], [NEW])]
        old, both, swapped, new = [
            (ring.all(Purpose.SIGN_IN), seal.encrypt(PAYLOAD, ring.current(Purpose.SIGN_IN)))
            for ring in rings
        ]
        for keys, _ in (old, both, swapped):
            for _, token in (old, both):
                assert seal.decrypt(token, keys).startswith(PAYLOAD)
        for keys, _ in (both, swapped, new):
            for _, token in (swapped, new):
                assert seal.decrypt(token, keys).startswith(PAYLOAD)
        for _, token in (old, both):
            with pytest.raises(seal.BadToken):
                seal.decrypt(token, new[0])


class TestForgedEncryption:
    """Tokens made by jwcrypto with the right key: only their form is wrong."""

    def test_right_form_made_by_the_library_is_read(self) -> None:
        """So the other tests' tokens are refused for their form."""
        assert seal.decrypt(_jwe({}), [KEY]) == PAYLOAD

    @pytest.mark.parametrize(
        "header",
        [
            {"alg": "A256KW"},
            {"alg": "A256GCMKW"},
            {"alg": "PBES2-HS256+A128KW"},
            {"alg": "PBES2-HS512+A256KW"},
            {"enc": "A128CBC-HS256"},
            {"kid": "AAAAAAAA"},
            {"kid": None},
            {"typ": "JWT"},
            {"cty": "JWT"},
            {"zip": "DEF"},
            {"x": 1},
        ],
        ids=str,
    )
    def test_another_header_is_refused(self, header: dict[str, Any]) -> None:
        with pytest.raises(seal.BadToken):
            seal.decrypt(_jwe(header), [KEY])

    @pytest.mark.parametrize("alg", ["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW"])
    def test_token_for_a_public_key_is_refused(self, alg: str) -> None:
        key = RSA if alg.startswith("RSA") else JWK.generate(kty="EC", crv="P-256")
        with pytest.raises(seal.BadToken, match="header"):
            seal.decrypt(_jwe({"alg": alg}, key), [KEY])

    @pytest.mark.parametrize(
        "respell",
        [
            json.dumps,
            lambda header: json.dumps(header, separators=(",", ":"), sort_keys=True) + " ",
            lambda header: json.dumps(dict(reversed(header.items())), separators=(",", ":")),
            lambda header: '{"alg":"A256KW",' + json.dumps(header, separators=(",", ":"))[1:],
            lambda header: json.dumps(header, separators=(",", ":")).replace("dir", "\\u0064ir"),
        ],
        ids=["spaces", "a last space", "another order", "a name twice", "an escape"],
    )
    def test_another_spelling_of_the_header_is_refused(
        self, respell: Callable[[dict[str, str]], str]
    ) -> None:
        spelt = respell({"alg": "dir", "enc": "A256GCM", "kid": KEY.kid})
        _, *others = seal.encrypt(PAYLOAD, KEY).split(".")
        with pytest.raises(seal.BadToken, match="header"):
            seal.decrypt(".".join([seal.base64url_encode(spelt.encode()), *others]), [KEY])

    def test_json_serialisation_is_refused(self) -> None:
        token = _make_jwe({})
        general = json.loads(token.serialize())
        one = {name: general.pop(name) for name in ("header", "encrypted_key") if name in general}
        for form in ({**general, **one}, {**general, "recipients": [one] * 200}):
            with pytest.raises(seal.BadToken):
                seal.decrypt(json.dumps(form), [KEY])

    def test_json_serialisation_with_added_headers_is_refused(self) -> None:
        form = {**json.loads(_make_jwe({}).serialize()), "unprotected": {"x": 1}}
        form["header"] = {"y": 2}
        with pytest.raises(seal.BadToken):
            seal.decrypt(json.dumps(form), [KEY])

    def test_token_over_one_kibibyte_is_refused(self) -> None:
        assert len(_jwe({}, payload=b"x" * 670)) <= 1024
        seal.decrypt(_jwe({}, payload=b"x" * 670), [KEY])
        with pytest.raises(seal.BadToken, match="too long"):
            seal.decrypt(_jwe({}, payload=b"x" * 700), [KEY])

    def test_encrypted_key_part_is_refused(self) -> None:
        header, _, *others = seal.encrypt(PAYLOAD, KEY).split(".")
        with pytest.raises(seal.BadToken):
            seal.decrypt(".".join([header, "AAAA", *others]), [KEY])

    @pytest.mark.parametrize("cut", range(1, 16))
    def test_shortened_tag_is_refused(self, cut: int) -> None:
        *others, tag = seal.encrypt(PAYLOAD, KEY).split(".")
        short = seal.base64url_encode(seal.base64url_decode(tag)[:cut])
        with pytest.raises(seal.BadToken, match="not dir and A256GCM"):
            seal.decrypt(".".join([*others, short]), [KEY])

    def test_parts_of_two_tokens_are_refused(self) -> None:
        one, other = (seal.encrypt(PAYLOAD, KEY).split(".") for _ in range(2))
        for at in (2, 3, 4):
            with pytest.raises(seal.BadToken, match="decryption failed"):
                seal.decrypt(".".join([*one[:at], other[at], *one[at + 1 :]]), [KEY])

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 500])
    def test_another_number_of_parts_is_refused(self, count: int) -> None:
        parts = [*seal.encrypt(PAYLOAD, KEY).split("."), *[""] * 500]
        with pytest.raises(seal.BadToken):
            seal.decrypt(".".join(parts[:count]), [KEY])


class TestSigned:
    @no_deadline
    @given(st.binary(min_size=1, max_size=1000))
    def test_signed_payload_is_verified(self, payload: bytes) -> None:
        assert seal.verify(seal.sign(payload, SIGNING, typ=TYP), [SIGNING], typ=TYP) == payload

    def test_change_of_any_character_is_refused(self) -> None:
        for changed in by_one_character(seal.sign(PAYLOAD, SIGNING, typ=TYP)):
            with pytest.raises(seal.BadToken):
                seal.verify(changed, [SIGNING], typ=TYP)

    @no_deadline
    @given(st.text())
    def test_any_other_text_is_refused(self, text: str) -> None:
        with pytest.raises(seal.BadToken):
            seal.verify(text, [SIGNING], typ=TYP)

    def test_key_of_another_secret_is_refused(self) -> None:
        token = seal.sign(PAYLOAD, SIGNING, typ=TYP)
        other = Keyring([NEW]).current(Purpose.ACCESS)
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(token, [other], typ=TYP)
        with pytest.raises(seal.BadToken, match="signature"):
            seal.verify(token, [Key(SIGNING.kid, other.secret)], typ=TYP)
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(token, [Key("AAAAAAAA", SIGNING.secret)], typ=TYP)

    def test_token_of_another_type_is_refused(self) -> None:
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(seal.sign(PAYLOAD, SIGNING, typ="JWT"), [SIGNING], typ=TYP)

    def test_encrypted_and_signed_tokens_are_not_mixed_up(self) -> None:
        with pytest.raises(seal.BadToken):
            seal.verify(seal.encrypt(PAYLOAD, KEY), [SIGNING], typ=TYP)
        with pytest.raises(seal.BadToken):
            seal.decrypt(seal.sign(PAYLOAD, SIGNING, typ=TYP), [KEY])

    def test_public_key_has_no_private_part(self) -> None:
        public = seal.public_jwk(SIGNING)
        assert public.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}
        assert (public["kty"], public["crv"], public["kid"]) == ("EC", "P-256", SIGNING.kid)
        assert (public["alg"], public["use"]) == ("ES256", "sig")


class TestForgedSignatures:
    def test_right_form_made_by_the_library_is_read(self) -> None:
        """So the other tests' tokens are refused for their form or their key."""
        assert seal.verify(_jws({}), [SIGNING], typ=TYP) == PAYLOAD

    @pytest.mark.parametrize(
        "header",
        [
            {"typ": None},
            {"typ": "JWT"},
            {"typ": "application/at+jwt"},
            {"kid": None},
            {"kid": "AAAAAAAA"},
            {"cty": "JWT"},
            {"jku": "https://attacker.example/jwks.json"},
            {"x5u": "https://attacker.example/x5u"},
            {"b64": True, "crit": ["b64"]},
            {"x": 1},
        ],
        ids=str,
    )
    def test_another_header_with_a_valid_signature_is_refused(self, header: dict[str, Any]) -> None:
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(_jws(header), [SIGNING], typ=TYP)

    def test_key_inside_the_token_is_ignored(self) -> None:
        own = JWK.generate(kty="EC", crv="P-256")
        header = {"jwk": json.loads(own.export_public())}
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(_jws(header, own), [SIGNING], typ=TYP)

    @pytest.mark.parametrize("form", ["pem", "der", "point", "compressed point"])
    def test_hs256_with_the_public_key_is_refused(self, form: str) -> None:
        public = _private().public_key()
        encoding, shape = {
            "pem": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "der": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "point": (Encoding.X962, PublicFormat.UncompressedPoint),
            "compressed point": (Encoding.X962, PublicFormat.CompressedPoint),
        }[form]
        secret = public.public_bytes(encoding, shape)
        key = JWK(kty="oct", k=seal.base64url_encode(secret))
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(_jws({"alg": "HS256"}, key), [SIGNING], typ=TYP)

    @pytest.mark.parametrize("alg", ["RS256", "PS256", "ES384", "ES512", "EdDSA"])
    def test_another_algorithm_is_refused(self, alg: str) -> None:
        key = {
            "RS256": RSA,
            "PS256": RSA,
            "ES384": JWK.generate(kty="EC", crv="P-384"),
            "ES512": JWK.generate(kty="EC", crv="P-521"),
            "EdDSA": JWK.generate(kty="OKP", crv="Ed25519"),
        }[alg]
        with pytest.raises(seal.BadToken, match="header"):
            seal.verify(_jws({"alg": alg}, key), [SIGNING], typ=TYP)

    @pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
    def test_alg_none_is_refused(self, alg: str) -> None:
        header = {"alg": alg, "kid": SIGNING.kid, "typ": TYP}
        signing_input = _text(header) + "." + seal.base64url_encode(PAYLOAD)
        signature = seal.sign(PAYLOAD, SIGNING, typ=TYP).split(".")[2]
        for token in (signing_input + ".", f"{signing_input}.{signature}"):
            with pytest.raises(seal.BadToken):
                seal.verify(token, [SIGNING], typ=TYP)

    def test_json_serialisation_is_refused(self) -> None:
        flat = json.loads(_make_jws({}).serialize())
        signature = {name: flat[name] for name in ("protected", "signature")}
        many = {"payload": flat["payload"], "signatures": [signature] * 20}
        for form in (flat, {**flat, "header": {"x": 1}}, many):
            with pytest.raises(seal.BadToken):
                seal.verify(json.dumps(form), [SIGNING], typ=TYP)

    def test_detached_payload_is_refused(self) -> None:
        header, _, signature = seal.sign(PAYLOAD, SIGNING, typ=TYP).split(".")
        with pytest.raises(seal.BadToken):
            seal.verify(f"{header}..{signature}", [SIGNING], typ=TYP)

    def test_token_over_four_kibibytes_is_refused(self) -> None:
        seal.verify(seal.sign(b"x" * 2900, SIGNING, typ=TYP), [SIGNING], typ=TYP)
        with pytest.raises(seal.BadToken, match="too long"):
            seal.verify(seal.sign(b"x" * 3100, SIGNING, typ=TYP), [SIGNING], typ=TYP)


class TestSignatureEdges:
    """Invalid r and s of an ECDSA signature, after the vectors of Project Wycheproof."""

    def test_valid_signature_written_by_hand_is_read(self) -> None:
        assert seal.verify(_with_signature(_pair(*_valid_signature())), [SIGNING], typ=TYP)

    def test_numbers_at_the_edges_of_the_group_are_refused(self) -> None:
        r, s = _valid_signature()
        edges = [0, 1, 2, N - 1, N, N + 1, P - 1, P, P + 1, 2**255, 2**256 - 1, P - N, r, s]
        pairs = {(one, other) for one in edges for other in edges} - {(r, s)}
        pairs |= {(one, s) for one in (N - r, r ^ 1, (r + 1) % N)}
        assert len(pairs) > 150
        for pair in pairs:
            with pytest.raises(seal.BadToken):
                seal.verify(_with_signature(_pair(*pair)), [SIGNING], typ=TYP)

    def test_any_flipped_bit_is_refused(self) -> None:
        signature = _pair(*_valid_signature())
        for bit in range(512):
            flipped = (int.from_bytes(signature) ^ 1 << bit).to_bytes(64)
            with pytest.raises(seal.BadToken):
                seal.verify(_with_signature(flipped), [SIGNING], typ=TYP)

    @pytest.mark.parametrize(
        "respell",
        [
            encode_dss_signature,
            lambda r, s: encode_dss_signature(r, s).ljust(72, b"\0"),
            lambda r, s: encode_dss_signature(r, s)[:64],
            lambda r, s: encode_dss_signature(r, s)[-64:],
            lambda r, s: _pair(r, s)[:0],
            lambda r, s: _pair(r, s)[:-1],
            lambda r, s: _pair(r, s)[1:],
            lambda r, s: _pair(r, s)[:32],
            lambda r, s: _pair(r, s)[32:],
            lambda r, s: _pair(r, s) + b"\0",
            lambda r, s: b"\0" + _pair(r, s),
            lambda r, s: _pair(r, s) * 2,
            lambda r, s: _pair(r, s, 33),
            lambda r, s: _pair(r, s, 48),
            lambda r, s: _pair(r + N, s, 33),
            lambda r, s: _pair(r, s + N, 33),
            lambda r, s: _pair(r + N, s + N, 40),
            lambda r, s: _pair(s, r),
            lambda r, s: r.to_bytes(32, "little") + s.to_bytes(32, "little"),
        ],
    )
    def test_other_spelling_of_a_valid_signature_is_refused(
        self, respell: Callable[[int, int], bytes]
    ) -> None:
        with pytest.raises(seal.BadToken):
            seal.verify(_with_signature(respell(*_valid_signature())), [SIGNING], typ=TYP)

    def test_signature_of_another_message_is_refused(self) -> None:
        other = seal.sign(PAYLOAD + b" ", SIGNING, typ=TYP).split(".")[2]
        with pytest.raises(seal.BadToken):
            seal.verify(_with_signature(seal.base64url_decode(other)), [SIGNING], typ=TYP)

    @pytest.mark.parametrize("name", ["SHA384", "SHA512", "SHA224"])
    def test_signature_over_another_hash_is_refused(self, name: str) -> None:
        der = _private().sign(_signing_input(), ec.ECDSA(getattr(hashes, name)()))
        with pytest.raises(seal.BadToken):
            seal.verify(_with_signature(_pair(*decode_dss_signature(der))), [SIGNING], typ=TYP)


class TestText:
    @given(st.binary(min_size=1))
    def test_encoded_bytes_are_decoded(self, raw: bytes) -> None:
        assert seal.base64url_decode(seal.base64url_encode(raw)) == raw

    @given(st.text() | st.text("AQgwZ_-=", max_size=6))
    def test_only_the_canonical_spelling_is_decoded(self, text: str) -> None:
        try:
            raw = seal.base64url_decode(text)
        except seal.BadToken:
            return
        assert seal.base64url_encode(raw) == text


def _make_jwe(changes: dict[str, Any], key: JWK | None = None, payload: bytes = PAYLOAD) -> JWE:
    """Make a JWE with our header and these changes; None leaves a member out."""
    header = {"alg": "dir", "enc": "A256GCM", "kid": KEY.kid} | changes
    algs = [header["alg"], header["enc"]]
    token = JWE(payload, protected=_compact(header), algs=algs)
    token.add_recipient(key or JWK(kty="oct", k=seal.base64url_encode(KEY.secret)))
    return token


def _jwe(changes: dict[str, Any], key: JWK | None = None, payload: bytes = PAYLOAD) -> str:
    return str(_make_jwe(changes, key, payload).serialize(compact=True))


def _make_jws(changes: dict[str, Any], key: JWK | None = None) -> JWS:
    """Make a JWS with our header and these changes; None leaves a member out."""
    header = {"alg": "ES256", "kid": SIGNING.kid, "typ": TYP} | changes
    token = JWS(PAYLOAD)
    token.allowed_algs = [header["alg"]]
    token.add_signature(key or JWK.from_pyca(_private()), protected=_compact(header))
    return token


def _jws(changes: dict[str, Any], key: JWK | None = None) -> str:
    return str(_make_jws(changes, key).serialize(compact=True))


def _compact(header: dict[str, Any]) -> str:
    present = {name: value for name, value in header.items() if value is not None}
    return json.dumps(present, separators=(",", ":"))


def _text(header: dict[str, Any]) -> str:
    return seal.base64url_encode(_compact(header).encode())


def _private() -> ec.EllipticCurvePrivateKey:
    """Derive the private key from the secret as seal.py does: a number from 1 to N - 1."""
    return ec.derive_private_key(int.from_bytes(SIGNING.secret) % (N - 1) + 1, ec.SECP256R1())


def _signing_input() -> bytes:
    header = {"alg": "ES256", "kid": SIGNING.kid, "typ": TYP}
    return f"{_text(header)}.{seal.base64url_encode(PAYLOAD)}".encode()


def _valid_signature() -> tuple[int, int]:
    return decode_dss_signature(_private().sign(_signing_input(), ec.ECDSA(hashes.SHA256())))


def _with_signature(signature: bytes) -> str:
    return f"{_signing_input().decode()}.{seal.base64url_encode(signature)}"


def _pair(r: int, s: int, width: int = 32) -> bytes:
    return r.to_bytes(width) + s.to_bytes(width)
