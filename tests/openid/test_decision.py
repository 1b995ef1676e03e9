"""The next step of an authorization request, by its parameters and who is signed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from referral.openid import decision
from referral.openid.authorization_request import AuthorizationRequest
from referral.openid.decision import BrowserUser, Step
from referral.openid.errors import OAuthError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANNA, PHONE, OTHER = "anna", "+79990000001", "+79990000002"
SILENTLY = frozenset({"none"})


def request(**more: Any) -> AuthorizationRequest:
    """Return the request of an app on the web, which came a minute ago."""
    usual = {
        "client_id": "an app",
        "redirect_uri": "https://app.example/callback",
        "scopes": ("openid",),
        "came_at": (NOW - timedelta(minutes=1)).timestamp(),
    }
    return AuthorizationRequest(**{**usual, **more})


def signed_in(*, seconds_ago: float = 3600) -> BrowserUser:
    at = NOW - timedelta(seconds=seconds_ago)
    return BrowserUser(user_id=ANNA, phone=PHONE, session_id="hers", authenticated_at=at)


def step(asked: AuthorizationRequest, person: BrowserUser | None) -> Step:
    return decision.next_step(asked, person, now=NOW)


def refused(asked: AuthorizationRequest, person: BrowserUser | None) -> str:
    with pytest.raises(OAuthError) as refusal:
        step(asked, person)
    return refusal.value.error


def test_nobody_signed_in_has_to_sign_in() -> None:
    assert step(request(), None) is Step.SIGN_IN
    assert refused(request(prompts=SILENTLY), None) == "login_required"


def test_a_signed_in_person_is_sent_back() -> None:
    assert step(request(), signed_in()) is Step.SEND_BACK
    assert step(request(prompts=SILENTLY), signed_in()) is Step.SEND_BACK


@pytest.mark.parametrize(
    "asked", [{"prompts": frozenset({"login"})}, {"max_age": 1800}, {"max_age": 0}], ids=str
)
def test_only_a_code_after_the_request_meets_it(asked: dict[str, Any]) -> None:
    """A minute ago the request came."""
    assert step(request(**asked), signed_in()) is Step.SIGN_IN
    assert step(request(**asked), signed_in(seconds_ago=60)) is Step.SEND_BACK
    # Half a second before the request is too early, though auth_time has whole seconds
    if asked != {"max_age": 1800}:
        assert step(request(**asked), signed_in(seconds_ago=60.5)) is Step.SIGN_IN


def test_max_age_counts_to_the_second() -> None:
    assert step(request(max_age=3600), signed_in()) is Step.SEND_BACK
    assert step(request(max_age=3599), signed_in()) is Step.SIGN_IN
    assert refused(request(max_age=3599, prompts=SILENTLY), signed_in()) == "login_required"


def test_only_the_hinted_user_is_sent_back() -> None:
    assert step(request(hinted_user_id=ANNA), signed_in()) is Step.SEND_BACK
    other = request(hinted_user_id="boris", confirmed_session_id="hers")
    assert step(other, signed_in()) is Step.SIGN_IN
    silent = request(hinted_user_id="boris", prompts=SILENTLY)
    assert refused(silent, signed_in()) == "login_required"


@pytest.mark.parametrize(
    "asked",
    [
        {"prompts": frozenset({"select_account"})},
        {"prompts": frozenset({"consent"})},
        {"hinted_phone": OTHER},
        {"invite_code": "7KQ2MX"},
        {"redirect_uri": "http://127.0.0.1:3000/callback"},
        {"redirect_uri": "http://localhost:3000/callback"},
        {"redirect_uri": "com.example.app:/callback"},
    ],
    ids=str,
)
def test_these_ask_until_the_same_session_agrees(asked: dict[str, Any]) -> None:
    assert step(request(**asked), signed_in()) is Step.CONFIRM
    assert step(request(**asked, confirmed_session_id="hers"), signed_in()) is Step.SEND_BACK
    assert step(request(**asked, confirmed_session_id="another"), signed_in()) is Step.CONFIRM


def test_silent_requests_never_ask() -> None:
    for asked in ({"hinted_phone": OTHER}, {"redirect_uri": "com.example.app:/callback"}):
        silent = request(**asked, prompts=SILENTLY)
        assert refused(silent, signed_in()) == "interaction_required"
    assert step(request(invite_code="7KQ2MX", prompts=SILENTLY), signed_in()) is Step.SEND_BACK


def test_the_own_phone_as_a_hint_asks_nothing() -> None:
    assert step(request(hinted_phone=PHONE), signed_in()) is Step.SEND_BACK
