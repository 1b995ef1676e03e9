"""Decide the next step for a person whom an app has sent here."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

from msgspec import Struct

from referral.openid import redirect_uri
from referral.openid.authorization_request import AuthorizationRequest
from referral.openid.errors import OAuthError


class Step(Enum):
    """The next step for the person."""

    SIGN_IN = auto()
    """Enter a phone and a code."""
    CONFIRM = auto()
    """Choose between going on as the signed-in user and using another phone."""
    SEND_BACK = auto()
    """Go back to the app with an authorization code."""


class BrowserUser(Struct, frozen=True, kw_only=True):
    """The user who is signed in here. authenticated_at: when a code was last verified."""

    user_id: str
    phone: str
    session_id: str
    authenticated_at: datetime


def next_step(
    request: AuthorizationRequest, signed_in: BrowserUser | None, *, now: datetime
) -> Step:
    """Return the next step. Raises OAuthError if one is needed and `prompt=none` forbids it."""
    silently = "none" in request.prompts
    if signed_in is None or _needs_code(request, signed_in, now):
        if silently:
            raise OAuthError("login_required", "The person has to sign in.")
        return Step.SIGN_IN
    is_confirmed = request.confirmed_session_id == signed_in.session_id
    if is_confirmed or not _needs_confirmation(request, signed_in, silently=silently):
        return Step.SEND_BACK
    if silently:
        raise OAuthError("interaction_required", "The person has to choose.")
    return Step.CONFIRM


def _needs_code(request: AuthorizationRequest, signed_in: BrowserUser, now: datetime) -> bool:
    """Return whether a person who is signed in must enter a code again."""
    if request.hinted_user_id not in {None, signed_in.user_id}:
        return True
    # A code that was verified after the request came satisfies `prompt=login` and `max_age`
    if signed_in.authenticated_at.timestamp() >= request.came_at:
        return False
    is_too_old = request.max_age is not None and (
        now - signed_in.authenticated_at > timedelta(seconds=request.max_age)
    )
    return "login" in request.prompts or is_too_old


def _needs_confirmation(
    request: AuthorizationRequest, signed_in: BrowserUser, *, silently: bool
) -> bool:
    """Return whether a person who is signed in must choose, or see an invitation."""
    if request.prompts & {"select_account", "consent"}:
        return True
    if request.hinted_phone not in {None, signed_in.phone}:
        return True
    if request.invite_code and not silently:
        return True
    # Any app on the machine can listen on a loopback port or register a private scheme
    return not redirect_uri.is_https(request.redirect_uri)
