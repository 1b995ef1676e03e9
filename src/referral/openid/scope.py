"""Scopes: what an app may learn about a person, and do for them (RFC 6749, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from referral.openid.errors import OAuthError

OPENID, PHONE, PROFILE, EMAIL, REFERRAL = "openid", "phone", "profile", "email", "referral"
OFFLINE_ACCESS, ACCOUNT = "offline_access", "account"
# In this order in tokens and documents
SUPPORTED = (OPENID, PHONE, PROFILE, EMAIL, REFERRAL, OFFLINE_ACCESS, ACCOUNT)
CLAIMS: dict[str, tuple[str, ...]] = {
    PHONE: ("phone_number", "phone_number_verified"),
    PROFILE: ("name",),
    EMAIL: ("email", "email_verified"),
    REFERRAL: ("invite_code", "inviter", "invitee_count"),
}


class Person(Struct, frozen=True, kw_only=True):
    """What the claims say about a user. is_verified: whether the phone is certainly theirs."""

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
    """Return the scopes to grant, in our order; unknown ones are ignored (Core, 3.1.2.1).

    account_allowed: whether the client was made with the scope `account`. Raises OAuthError.
    """
    wanted = set(text.split())
    if OPENID not in wanted:
        raise OAuthError("invalid_scope", "The scope must contain openid.")
    if ACCOUNT in wanted and not account_allowed:
        raise OAuthError(
            "invalid_scope", "This client may not request the scope account: it was made without."
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
    """Return the claims that the scopes give (Core, section 5.4); empty ones are left out."""
    values: dict[str, object] = {
        "phone_number": person.phone,
        "phone_number_verified": person.is_verified,
        "name": person.name,
        "email": person.email,
        # Nobody has sent anything to the address
        "email_verified": False if person.email else None,
        "invite_code": person.invite_code,
        "inviter": person.inviter_id,
        "invitee_count": person.invitee_count,
    }
    names = [name for each in scopes for name in CLAIMS.get(each, ())]
    return {name: values[name] for name in names if name == "inviter" or values[name] is not None}
