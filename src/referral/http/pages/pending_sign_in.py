"""A code that is under way: what its page shows, and what comes after it.

Each tab has its own, in a cookie (see tabs.py) and in the forms of its page: what a form carries
counts, since its page may be older than the last code that was sent, or than the cookie.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request

from referral.context import Context
from referral.core import phone as phones
from referral.core.errors import InvalidPhone, UnsupportedPhone
from referral.http.pages import cookie_value, cookies, tabs
from referral.http.requests import context
from referral.service.codes import SentCode

FIELD, TAB = "pending", "tab"

# A day: who comes back to a tab the next morning asks for another code there
_SECONDS = 86_400


class PendingSignIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A code that was sent.

    expires_at, resend_at: Unix seconds. code: while sending is simulated. next: where to go then.
    user_id: whose new phone it went to. tab: the key of the tab that asked for it.
    """

    token: str
    phone: str
    code_length: int
    expires_at: int
    resend_at: int
    code: str = ""
    invite_code: str = ""
    next: str = ""
    user_id: str = ""
    tab: str = ""

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
        )

    def leading(self, *, invite_code: str, then: str) -> PendingSignIn:
        """The same code in another tab, which came with another invitation or way on."""
        tab = tabs.key_of(self.token, invite_code, then)
        return msgspec.structs.replace(self, invite_code=invite_code, next=then, tab=tab)

    def at(self, path: str) -> str:
        """The address of a page or form of this tab. It keeps the invitation at least."""
        query = {TAB: self.tab, "invite_code": self.invite_code}
        given = urlencode({name: text for name, text in query.items() if text})
        return f"{path}?{given}" if given else path

    def in_form(self) -> str:
        """What the forms of its page carry."""
        return cookie_value.write(self)

    def seconds_to_wait(self, ctx: Context) -> int:
        """Until another can be asked for."""
        return max(self.resend_at - int(ctx.clock().timestamp()), 0)

    def is_over(self, ctx: Context) -> bool:
        return self.expires_at <= ctx.clock().timestamp()

    def is_leftover(self, ctx: Context) -> bool:
        """Whether it is of a simulated gateway in whose place a real one has come."""
        return bool(self.code) and not ctx.gateway.echoes_code

    def is_good_for(self, text: str, ctx: Context) -> bool:
        """Whether it is under way to the phone that was typed."""
        if self.is_over(ctx):
            return False
        try:
            return phones.parse(text, ctx.phone_rules) == self.phone
        except (InvalidPhone, UnsupportedPhone):
            return False


def find(request: Request[Any, Any, Any], kind: str = cookies.SIGN_IN) -> PendingSignIn | None:
    """The one of this tab; without a tab in the address, the newest."""
    found = tabs.find(request, kind, PendingSignIn, key=request.query_params.get(TAB))
    return None if found is None or found.is_leftover(context(request)) else found


def sent_with(
    request: Request[Any, Any, Any], fields: dict[str, str], kind: str = cookies.SIGN_IN
) -> PendingSignIn | None:
    """The one that a form carries, else the one of its tab."""
    return cookie_value.read(fields.get(FIELD), PendingSignIn) or find(request, kind)


def on_its_way(
    request: Request[Any, Any, Any], phone: str, ctx: Context, kind: str = cookies.SIGN_IN
) -> PendingSignIn | None:
    """The one that is under way from any tab to the phone that was typed."""
    every = tabs.find_all(request, kind, PendingSignIn)
    return next((each for each in every if each.is_good_for(phone, ctx)), None)


def keep(
    request: Request[Any, Any, Any], pending: PendingSignIn, kind: str = cookies.SIGN_IN
) -> None:
    tabs.keep(request, kind, pending.tab, pending, seconds=_SECONDS)


def keep_for_its_page(
    request: Request[Any, Any, Any], pending: PendingSignIn, kind: str = cookies.SIGN_IN
) -> None:
    """Bring back one whose cookie is gone; a newer one of the same tab stays."""
    if tabs.find(request, kind, PendingSignIn, key=pending.tab) is None:
        keep(request, pending, kind)
