"""Pages for people: forms over the same functions as the API, and no rule of their own."""

from litestar import Router

from referral.http.pages import (
    admin,
    cookies,
    data,
    deletion,
    errors,
    forms,
    invitation,
    invitees,
    language,
    phone,
    profile,
    reauthentication,
    sessions,
    sign_in,
    static,
)
from referral.http.pages.errors import answer_anywhere

__all__ = ["answer_anywhere", "router"]

router = Router(
    "",
    route_handlers=[
        *sign_in.HANDLERS,
        invitation.invitation,
        reauthentication.confirm,
        reauthentication.send_to_confirm,
        language.choose,
        *profile.HANDLERS,
        *phone.HANDLERS,
        *sessions.HANDLERS,
        *deletion.HANDLERS,
        invitees.invitees,
        data.download,
        admin.router,
        static.asset,
    ],
    guards=[forms.from_our_own_pages],
    middleware=[cookies.middleware],
    exception_handlers=errors.HANDLERS,
    include_in_schema=False,
)
