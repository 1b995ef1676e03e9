"""The authorization code: a sealed token that the app exchanges for tokens, once.

Nothing of it is stored until it is exchanged: the code carries the id of the session that it will
begin. That id is also the name of the counter that makes it work once.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from referral.core import seal
from referral.core.keys import Keyring, Purpose
from referral.openid.authorization_request import AuthorizationRequest
from referral.openid.errors import InvalidGrant

LIFE_SECONDS = 60
# How long a second use is recognised, and ends the session of the first (RFC 9700, section 4.5)
REUSE_SECONDS = 3600

# RFC 7636, section 4.1
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
# A nonce of control characters is six times as long in JSON
_MAX_SEALED_LENGTH = 8 * 1024


class AuthorizationCode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a code.

    session_id: of the session that it will begin. browser_session_id: of the one that the person
    has on the pages. redirect_digest: of the redirect URI. expires_at: Unix seconds.
    """

    client_id: str
    redirect_digest: str
    scopes: tuple[str, ...]
    user_id: str
    phone: str
    session_id: str
    browser_session_id: str
    expires_at: int
    nonce: str | None = None
    code_challenge: str | None = None


def issue(
    request: AuthorizationRequest,
    *,
    user_id: str,
    phone: str,
    session_id: str,
    browser_session_id: str,
    now: datetime,
    keys: Keyring,
) -> str:
    """Return a code for a request, valid from now for LIFE_SECONDS."""
    code = AuthorizationCode(
        client_id=request.client_id,
        redirect_digest=_digest(request.redirect_uri),
        scopes=request.scopes,
        user_id=user_id,
        phone=phone,
        session_id=session_id,
        browser_session_id=browser_session_id,
        expires_at=int(now.timestamp()) + LIFE_SECONDS,
        nonce=request.nonce,
        code_challenge=request.code_challenge,
    )
    key = keys.current(Purpose.AUTHORIZATION_CODE)
    return seal.encrypt(msgspec.json.encode(code), key, padded_to=None)


def decrypt(
    text: str,
    *,
    client_id: str,
    redirect_uri: str | None,
    verifier: str | None,
    now: datetime,
    keys: Keyring,
) -> AuthorizationCode:
    """Return the content of a code that this client may use, at most REUSE_SECONDS old.

    The caller has to require that it has not expired, and that it is used for the first time.
    Raises InvalidGrant.
    """
    try:
        payload = seal.decrypt(
            text, keys.all(Purpose.AUTHORIZATION_CODE), max_length=_MAX_SEALED_LENGTH
        )
        code = msgspec.json.decode(payload, type=AuthorizationCode)
    except (seal.BadToken, msgspec.DecodeError):
        raise InvalidGrant("The code is not valid.") from None
    if now.timestamp() >= code.expires_at - LIFE_SECONDS + REUSE_SECONDS:
        raise InvalidGrant("The code has expired.")
    if code.client_id != client_id:
        raise InvalidGrant("The code was issued to another client.")
    if redirect_uri is None or code.redirect_digest != _digest(redirect_uri):
        raise InvalidGrant("The redirect_uri differs from that of the authorization request.")
    if not _is_verified(code.code_challenge, verifier):
        raise InvalidGrant("The code_verifier does not match the code_challenge.")
    return code


def has_expired(code: AuthorizationCode, *, now: datetime) -> bool:
    return now.timestamp() >= code.expires_at


def _is_verified(challenge: str | None, verifier: str | None) -> bool:
    """Return whether a verifier is that of the challenge (RFC 7636, section 4.6).

    None matches only None: a client that sent no challenge has no verifier (RFC 9700, 2.1.1).
    """
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    return bool(_VERIFIER.fullmatch(verifier)) and hmac.compare_digest(challenge, _digest(verifier))


def _digest(text: str) -> str:
    return seal.base64url_encode(sha256(text.encode()).digest())
