"""Scopes: the claims and the access that an app may request (RFC 6749, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from referral.openid.errors import OAuthError

OPENID, PHONE, PROFILE, EMAIL, REFERRAL = "openid", "phone", "profile", "email", "referral"
OFFLINE_ACCESS, ACCOUNT = "offline_access", "account"
# Tokens and the discovery document list them in this order
SUPPORTED = (OPENID, PHONE, PROFILE, EMAIL, REFERRAL, OFFLINE_ACCESS, ACCOUNT)
CLAIMS: dict[str, tuple[str, ...]] = {
    PHONE: ("phone_number", "phone_number_verified"),
    PROFILE: ("name",),
    EMAIL: ("email", "email_verified"),
    REFERRAL: ("invite_code", "inviter", "invitee_count"),
}


class Person(Struct, frozen=True, kw_only=True):
    """The facts about a user for the claims. is_verified: whether a code was sent to the phone."""

    phone: str
    is_verified: bool
    name: str | None
    email: str | None
    invite_code: str
    inviter_id: str | None
    invitee_count: int


def allowed(*, account_allowed: bool) -> tuple[str, ...]:
    """Return the scopes that a client may request."""
    return tuple(each for each in SUPPORTED if account_allowed or each != ACCOUNT)


def parse(text: str, *, account_allowed: bool) -> tuple[str, ...]:
    """Return the scopes to grant, in the order of SUPPORTED.

    Unknown ones are ignored (OpenID Connect Core, section 3.1.2.1). account_allowed: see
    models.Client. Raises OAuthError.
    """
    wanted = set(text.split())
    if OPENID not in wanted:
        raise OAuthError("invalid_scope", "The scope must contain openid.")
    if ACCOUNT in wanted and not account_allowed:
        raise OAuthError(
            "invalid_scope",
            "Leave out the scope account: the client was not made with --scope account.",
        )
    return tuple(each for each in SUPPORTED if each in wanted)


def narrow(granted: Iterable[str], text: str | None) -> tuple[str, ...]:
    """Return the scopes of a refresh: those granted, or fewer (RFC 6749, section 6).

    Raises OAuthError.
    """
    granted = tuple(granted)
    if text is None:
        return granted
    wanted = set(text.split())
    if not wanted or wanted - set(granted):
        raise OAuthError("invalid_scope", "Request only scopes that the sign-in granted.")
    return tuple(each for each in granted if each in wanted)


def claims(scopes: Iterable[str], person: Person) -> dict[str, object]:
    """Return the claims of the scopes (OpenID Connect Core, section 5.4), without empty ones."""
    values: dict[str, object] = {
        "phone_number": person.phone,
        "phone_number_verified": person.is_verified,
        "name": person.name,
        "email": person.email,
        # Nothing is ever sent to the address, so it is not verified
        "email_verified": False if person.email else None,
        "invite_code": person.invite_code,
        "inviter": person.inviter_id,
        "invitee_count": person.invitee_count,
    }
    names = [name for each in scopes for name in CLAIMS.get(each, ())]
    return {name: values[name] for name in names if name == "inviter" or values[name] is not None}
