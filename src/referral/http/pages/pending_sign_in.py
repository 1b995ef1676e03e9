"""Pending codes: sent but not entered yet, for a sign-in or for a change of phone.

Their state is in the browser: in a cookie of the tab (see tabs.py) and in a hidden field of the
forms on its page. The hidden field wins, because the page may show an earlier code than the cookie
has, or may have outlived the cookie.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request

from referral.context import Context
from referral.core import phone as phones
from referral.core.channels import Channel
from referral.core.errors import InvalidPhone, UnsupportedPhone
from referral.http.pages import cookie_value, cookies, tabs
from referral.http.requests import context
from referral.service.codes import SentCode

FIELD, TAB = "pending", "tab"

# A day: somebody who returns to the tab the next morning can still ask for another code there
_SECONDS = 86_400


class PendingSignIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A code that was sent, and what to do once it is entered.

    token: the challenge. expires_at, resend_at: Unix time, in seconds. code: only while sending is
    simulated. asks_invite_code: whether the page of the code asks for an invite code, because the
    phone cannot join without one. next: the path to redirect to. user_id: for a change of phone,
    the user who asked for it; empty for a sign-in. tab: the key of the tab. channel: by which the
    code went, as far as the person may know. others: the channels that can be asked for instead.
    """

    token: str
    phone: str
    code_length: int
    expires_at: int
    resend_at: int
    code: str = ""
    invite_code: str = ""
    asks_invite_code: bool = False
    next: str = ""
    user_id: str = ""
    tab: str = ""
    channel: Channel = Channel.SMS
    others: tuple[Channel, ...] = ()

    @classmethod
    def of(
        cls,
        sent: SentCode,
        *,
        ctx: Context,
        invite_code: str = "",
        then: str = "",
        user_id: str = "",
        tab: str = "",
    ) -> PendingSignIn:
        now = int(ctx.clock().timestamp())
        return cls(
            token=sent.token,
            phone=sent.phone,
            code_length=sent.code_length,
            expires_at=now + sent.expires_in,
            resend_at=now + sent.resend_in,
            code=sent.code or "",
            invite_code=invite_code,
            next=then,
            user_id=user_id,
            tab=tab or tabs.key_of(sent.token),
            channel=sent.channel,
            others=tuple(sent.other_channels),
        )

    def in_new_tab(self, *, invite_code: str, then: str) -> PendingSignIn:
        """Return the same code for another tab, with that tab's invitation and next path."""
        tab = tabs.key_of(self.token, invite_code, then)
        return msgspec.structs.replace(
            self, invite_code=invite_code, asks_invite_code=False, next=then, tab=tab
        )

    def asking(self, invite_code: str) -> PendingSignIn:
        """Return the same code for a phone that needs an invite code. invite_code: as typed."""
        return msgspec.structs.replace(self, invite_code=invite_code, asks_invite_code=True)

    def url(self, path: str, **more: str) -> str:
        """Return the URL of a page or form of this tab, with more parameters.

        It has the invite code too, so that the invitation survives the loss of the cookie.
        """
        query = {TAB: self.tab, "invite_code": self.invite_code, **more}
        given = urlencode({name: text for name, text in query.items() if text})
        return f"{path}?{given}" if given else path

    def form_value(self) -> str:
        """Return the value of the hidden field."""
        return cookie_value.encode(self)

    def seconds_until_resend(self, ctx: Context) -> int:
        return max(self.resend_at - int(ctx.clock().timestamp()), 0)

    def seconds_left(self, ctx: Context) -> int:
        """Return how long the code is good; 0 if it has expired."""
        return max(self.expires_at - int(ctx.clock().timestamp()), 0)

    def is_expired(self, ctx: Context) -> bool:
        return not self.seconds_left(ctx)

    def is_for(self, text: str, ctx: Context) -> bool:
        """Return whether the code has not expired and was sent to the phone that `text` spells."""
        if self.is_expired(ctx):
            return False
        try:
            return phones.parse(text, ctx.phone_rules) == self.phone
        except (InvalidPhone, UnsupportedPhone):
            return False


def find(request: Request[Any, Any, Any], *, user_id: str = "") -> PendingSignIn | None:
    """Return the pending code of the request's tab, or the newest one if the URL names no tab.

    user_id: for a change of phone, the signed-in user's. A code that an earlier user of this
    browser asked for is not found.
    """
    tab = request.query_params.get(TAB)
    found = tabs.find(request, _kind(user_id), PendingSignIn, key=tab)
    if found is None or found.user_id != user_id:
        return None
    # A code that the simulated gateway showed is not valid any more once a real gateway is set
    return None if found.code and not context(request).channels.echoes_code else found


def find_in_form(
    request: Request[Any, Any, Any], fields: dict[str, str], *, user_id: str = ""
) -> PendingSignIn | None:
    """Return the pending code in the form's hidden field, otherwise the one of its tab."""
    sent = cookie_value.parse(fields.get(FIELD), PendingSignIn)
    if sent is None:
        return find(request, user_id=user_id)
    return sent if sent.user_id == user_id else None


def find_for_phone(
    request: Request[Any, Any, Any], phone: str, ctx: Context, *, user_id: str = ""
) -> PendingSignIn | None:
    """Return a pending code of any tab that was sent to this phone and has not expired."""
    found = tabs.find_all(request, _kind(user_id), PendingSignIn)
    return next(
        (each for each in found if each.user_id == user_id and each.is_for(phone, ctx)), None
    )


def keep(request: Request[Any, Any, Any], pending: PendingSignIn) -> None:
    tabs.keep(request, _kind(pending.user_id), pending.tab, pending, seconds=_SECONDS)


def restore(request: Request[Any, Any, Any], pending: PendingSignIn) -> None:
    """Set the cookie again if it is gone. A newer code of the same tab stays."""
    kind = _kind(pending.user_id)
    if tabs.find(request, kind, PendingSignIn, key=pending.tab) is None:
        keep(request, pending)


def clear(request: Request[Any, Any, Any], pending: PendingSignIn) -> None:
    tabs.clear(request, _kind(pending.user_id), pending.tab)


def _kind(user_id: str) -> str:
    return cookies.NEW_PHONE if user_id else cookies.SIGN_IN
