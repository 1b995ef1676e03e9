"""The authorization request: what an app asks for when it sends a person here.

It is not stored. While the person signs in, the pages pass the checked request on in their URLs, as
an encrypted token: see request_token.py.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
from msgspec import Struct

from referral.core import phone as phones
from referral.core import seal
from referral.core.errors import InvalidPhone, UnsupportedPhone
from referral.core.keys import Keyring, Purpose
from referral.core.phone import PhoneRules
from referral.openid import request_token, scope
from referral.openid.errors import InvalidRequest, OAuthError
from referral.openid.parameters import Parameters

MAX_STATE_LENGTH = 2048
_MAX_NONCE_LENGTH = 512
_MAX_INVITE_CODE_LENGTH = 200
_MAX_LOCALES = 10
_HIGHEST_MAX_AGE = 10**9  # seconds
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
# A SHA-256 in base64url (RFC 7636, section 4.2)
_S256 = re.compile(r"[A-Za-z0-9_-]{43}")
# A language tag (RFC 5646), roughly
_LOCALE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}")
_NUMBER = re.compile(r"[0-9]{1,10}")


class Expired(Exception):  # noqa: N818 - a fact, not an error
    """The request's token has expired. request: the request, so that the app gets an error."""

    def __init__(self, request: AuthorizationRequest) -> None:
        super().__init__()
        self.request = request


class AuthorizationRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked request.

    hinted_phone: the phone of `login_hint`, in E.164. hinted_user_id: the user of `id_token_hint`.
    locales: the language tags of `ui_locales`, preferred first.
    came_at: when the request came, in Unix seconds, to the microsecond. A code that is verified
    later satisfies `prompt=login` and `max_age`. expires_at: Unix seconds.
    confirmed_session_id: the browser's session in which the person has agreed to be sent back.
    """

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    hinted_phone: str | None = None
    hinted_user_id: str | None = None
    locales: tuple[str, ...] = ()
    invite_code: str = ""
    came_at: float
    expires_at: int = 0
    confirmed_session_id: str = ""


def parse(
    parameters: Parameters,
    *,
    account_allowed: bool,
    requires_pkce: bool,
    hinted_user_id: str | None,
    phone_rules: PhoneRules,
    now: datetime,
) -> AuthorizationRequest:
    """Parse a request whose client and redirect URI are registered.

    account_allowed, requires_pkce: see models.Client. hinted_user_id: the user of the
    `id_token_hint`. Raises OAuthError.
    """
    _require_supported(parameters)
    login_hint = parameters.get("login_hint")
    return AuthorizationRequest(
        client_id=parameters.require("client_id"),
        redirect_uri=parameters.require("redirect_uri"),
        scopes=scope.parse(parameters.get("scope") or "", account_allowed=account_allowed),
        state=parameters.get("state", max_length=MAX_STATE_LENGTH),
        nonce=parameters.get("nonce", max_length=_MAX_NONCE_LENGTH),
        code_challenge=_parse_code_challenge(parameters, is_required=requires_pkce),
        prompts=_parse_prompts(parameters.get("prompt") or ""),
        max_age=_parse_max_age(parameters.get("max_age")),
        hinted_phone=_parse_phone(login_hint, phone_rules) if login_hint else None,
        hinted_user_id=hinted_user_id,
        locales=_parse_locales(parameters.get("ui_locales") or ""),
        # A longer text is no invite code. It is kept in part, so that the person sees a refusal
        invite_code=(parameters.get("invite_code") or "")[:_MAX_INVITE_CODE_LENGTH],
        came_at=now.timestamp(),
    )


def state_to_return(parameters: Parameters) -> str | None:
    """Return the state for an error response; None if it is too long or was given twice."""
    try:
        return parameters.get("state", max_length=MAX_STATE_LENGTH)
    except InvalidRequest:
        return None


def encrypt(request: AuthorizationRequest, *, now: datetime, keys: Keyring) -> str:
    """Return the request's token, valid for 15 minutes from now."""
    expires_at = int(now.timestamp()) + request_token.LIFE_SECONDS
    renewed = msgspec.structs.replace(request, expires_at=expires_at)
    return request_token.encrypt(renewed, keys.current(Purpose.AUTHORIZATION_REQUEST))


def decrypt(token: str, *, now: datetime, keys: Keyring) -> AuthorizationRequest:
    """Return the request of a token. Raises InvalidRequest, Expired."""
    try:
        request = request_token.decrypt(
            token, keys.all(Purpose.AUTHORIZATION_REQUEST), AuthorizationRequest
        )
    except seal.BadToken:
        raise InvalidRequest("Go back to the app and sign in from there again.") from None
    if now.timestamp() >= request.expires_at:
        raise Expired(request)
    return request


def _require_supported(parameters: Parameters) -> None:
    """Refuse repeated parameters, and the parts of the standard that are not supported."""
    parameters.check()
    for name in ("request", "request_uri"):
        if parameters.get(name) is not None:
            raise OAuthError(f"{name}_not_supported", f"Send parameters instead of {name}.")
    if parameters.get("response_mode") not in {None, "query"}:
        raise InvalidRequest("The response_mode must be query.")
    if parameters.require("response_type") != "code":
        raise OAuthError("unsupported_response_type", "The response_type must be code.")


def _parse_code_challenge(parameters: Parameters, *, is_required: bool) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if challenge is None:
        if is_required or method is not None:
            raise InvalidRequest("Send code_challenge with code_challenge_method=S256 (PKCE).")
        return None
    if method != "S256":
        raise InvalidRequest("The code_challenge_method must be S256.")
    if not _S256.fullmatch(challenge):
        raise InvalidRequest("The code_challenge must be the base64url of a SHA-256.")
    return challenge


def _parse_prompts(text: str) -> frozenset[str]:
    """Parse `prompt` (OpenID Connect Core, section 3.1.2.1). Unknown values are ignored."""
    wanted = set(text.split())
    if "none" in wanted and len(wanted) > 1:
        raise InvalidRequest("prompt=none cannot be combined with other values.")
    return frozenset(wanted & _PROMPTS)


def _parse_locales(text: str) -> tuple[str, ...]:
    """Parse `ui_locales`. Texts that are not language tags are ignored."""
    return tuple(each for each in text.split() if _LOCALE.fullmatch(each))[:_MAX_LOCALES]


def _parse_max_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > _HIGHEST_MAX_AGE:
        raise InvalidRequest("The max_age must be a number of seconds, at most 1000000000.")
    return int(text)


def _parse_phone(text: str, rules: PhoneRules) -> str | None:
    try:
        return phones.parse(text, rules)
    except (InvalidPhone, UnsupportedPhone):
        return None
