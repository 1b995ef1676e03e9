"""The signed-in user's account: phone, name, email, inviter, devices, data and deletion."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect

from referral.core.errors import InvalidRequest, Refusal
from referral.core.profile_fields import PARSERS
from referral.http.pages import browser_session, flash, forms
from referral.http.requests import StrictRequest, context
from referral.service import friends, profiles

ACCOUNT = "/me/account"

Row = Annotated[str, QueryParameter()]


@get(ACCOUNT, guards=[browser_session.signed_in], include_in_schema=False)
async def show(request: StrictRequest, change: Row = "") -> Response[str]:
    """Show the account. change: the field whose form is open."""
    user = request.user.user
    return browser_session.page(
        request,
        "account.html",
        profile=await profiles.get(context(request), user.id),
        inviter=await friends.inviter_name(user),
        opened=change,
    )


@post(
    ACCOUNT,
    guards=[browser_session.signed_in],
    opt=forms.on(ACCOUNT, "profile", *PARSERS),
    include_in_schema=False,
)
async def change(request: StrictRequest) -> Redirect:
    """Change the submitted fields; an empty one is cleared."""
    submitted = await forms.read(request)
    # No other fields, because the cookie that returns them is small
    typed = {field: text for field, text in submitted.items() if field in PARSERS}
    try:
        await profiles.change(
            context(request),
            request.user,
            {field: text or None for field, text in typed.items()},
        )
    except InvalidRequest as refusal:
        return flash.refused(request, ACCOUNT, refusal, form="profile", field="name", values=typed)
    return flash.notice(request, ACCOUNT, "saved")


def refuse_invite_code(request: StrictRequest, refusal: Refusal, invite_code: str) -> Redirect:
    """Redirect to the form for an invite code, and show there why this one was refused."""
    return flash.refused(
        request,
        ACCOUNT,
        refusal,
        form="inviter",
        field="invite_code",
        values={"invite_code": invite_code},
    )


HANDLERS: list[Any] = [show, change]
