"""The authorization code: an encrypted token that the app exchanges for tokens, once.

Codes are not stored. A code contains the id of the session that it will begin. That id is also in
the key of the counter by which a second use is noticed.
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
# From its issue, how long a second use of a code ends the session that the first began
# (RFC 9700, section 4.5)
REUSE_SECONDS = 3600

# RFC 7636, section 4.1
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
# Control characters in the nonce are six times as long in JSON
_MAX_ENCRYPTED_LENGTH = 8 * 1024


class AuthorizationCode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a code.

    session_id: the session that it will begin. browser_session_id: the session that the person has
    on the pages. redirect_digest: the digest of the redirect URI. expires_at: Unix seconds.
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
    """Return a code for a request, valid for 60 seconds from now."""
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
    """Return the content of a code that this client may use, even if it expired within the hour.

    The caller has to check that the code has not expired, and that this is its first use.
    Raises InvalidGrant.
    """
    try:
        payload = seal.decrypt(
            text, keys.all(Purpose.AUTHORIZATION_CODE), max_length=_MAX_ENCRYPTED_LENGTH
        )
        code = msgspec.json.decode(payload, type=AuthorizationCode)
    except (seal.BadToken, msgspec.DecodeError):
        raise InvalidGrant(
            "The code is not valid: send it as it came, and exchange each code once."
        ) from None
    if now.timestamp() >= code.expires_at - LIFE_SECONDS + REUSE_SECONDS:
        raise InvalidGrant("The code has expired: exchange it within 60 seconds.")
    if code.client_id != client_id:
        raise InvalidGrant(
            "The code is another client's: send the client_id of the authorization request."
        )
    if redirect_uri is None or code.redirect_digest != _digest(redirect_uri):
        raise InvalidGrant("The redirect_uri must be that of the authorization request.")
    if not _is_verified(code.code_challenge, verifier):
        raise InvalidGrant(
            "The code_verifier must be the one that the code_challenge was made from."
        )
    return code


def has_expired(code: AuthorizationCode, *, now: datetime) -> bool:
    return now.timestamp() >= code.expires_at


def _is_verified(challenge: str | None, verifier: str | None) -> bool:
    """Return whether a verifier matches the challenge (RFC 7636, section 4.6).

    A verifier without a challenge does not match (RFC 9700, section 2.1.1).
    """
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    return bool(_VERIFIER.fullmatch(verifier)) and hmac.compare_digest(challenge, _digest(verifier))


def _digest(text: str) -> str:
    return seal.base64url_encode(sha256(text.encode()).digest())
