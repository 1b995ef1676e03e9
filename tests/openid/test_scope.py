"""Scopes: which are granted, and the claims that they give."""

from __future__ import annotations

import pytest

from referral.openid import scope
from referral.openid.errors import OAuthError
from referral.openid.scope import Person

ANNA = Person(
    phone="+79990000001",
    is_verified=True,
    name=None,
    email="anna@example.com",
    invite_code="7KQ2MX",
    inviter_id=None,
    invitee_count=0,
)


def test_unknown_scopes_are_ignored() -> None:
    granted = scope.parse("address phone openid  unknown phone", account_allowed=False)
    assert granted == ("openid", "phone")


@pytest.mark.parametrize("text", ["", "phone", "OPENID", "openid account"])
def test_without_openid_or_with_account_it_is_invalid(text: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        scope.parse(text, account_allowed=False)
    assert refusal.value.error == "invalid_scope"


def test_account_is_for_clients_that_may() -> None:
    assert scope.parse("account openid", account_allowed=True) == ("openid", "account")


def test_a_refresh_may_narrow_and_never_widen() -> None:
    granted = ("openid", "phone", "offline_access")
    assert scope.narrow(granted, None) == granted
    assert scope.narrow(granted, "phone openid") == ("openid", "phone")
    for text in ("openid email", "unknown", " "):
        with pytest.raises(OAuthError) as refusal:
            scope.narrow(granted, text)
        assert refusal.value.error == "invalid_scope"


def test_claims_of_all_scopes() -> None:
    """An empty one is left out, except for the inviter."""
    assert scope.claims(scope.SUPPORTED, ANNA) == {
        "phone_number": "+79990000001",
        "phone_number_verified": True,
        "email": "anna@example.com",
        "email_verified": False,
        "invite_code": "7KQ2MX",
        "inviter": None,
        "invitee_count": 0,
    }


def test_openid_alone_gives_no_claims() -> None:
    assert scope.claims(("openid", "offline_access", "account"), ANNA) == {}
