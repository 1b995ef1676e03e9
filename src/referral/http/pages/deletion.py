"""Deleting the account."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from referral.core.errors import Forbidden, InvalidRequest
from referral.http.pages import browser_session, cookies, flash, forms, tabs
from referral.http.requests import StrictRequest, context
from referral.rewards import entry_lists
from referral.service import access, profiles

DELETE = "/me/delete"


@get(DELETE, guards=[browser_session.signed_in], include_in_schema=False)
async def show(request: StrictRequest) -> Response[str]:
    ctx, user_id = context(request), request.user.user.id
    access.require_fresh(ctx, request.user)
    return browser_session.page(
        request,
        "delete.html",
        profile=await profiles.get(ctx, user_id),
        balances=await entry_lists.balances(ctx, user_id),
        sign_up=ctx.sign_up.mode,
    )


@post(
    DELETE,
    guards=[browser_session.signed_in],
    opt=forms.on(DELETE, "delete"),
    include_in_schema=False,
)
async def delete(request: StrictRequest) -> Redirect:
    fields = await forms.read(request)
    try:
        if not fields.get("sure"):
            raise InvalidRequest.field("sure", "Required.")
        await profiles.delete(
            context(request), request.user, caller=browser_session.caller(request)
        )
    except InvalidRequest as refusal:
        return flash.refused(request, DELETE, refusal, form="delete", field="sure")
    except Forbidden as refusal:
        return flash.refused(
            request, DELETE, refusal, form="delete", field="delete", code="last_admin"
        )
    cookies.clear(request, cookies.ACCESS, cookies.REFRESH, cookies.DEVICE)
    tabs.clear_all(request)
    return flash.notice(request, "/", "account_deleted")


HANDLERS: list[Any] = [show, delete]
