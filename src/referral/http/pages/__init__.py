"""HTML pages for people. They call the same functions as the API and add no rules."""

from litestar import Router

from referral.http.pages import (
    account,
    admin,
    authorize,
    cookies,
    data,
    deletion,
    errors,
    forms,
    invitation,
    invitees,
    language,
    logout,
    phone,
    profile,
    reauthentication,
    rewards,
    sessions,
    sign_in,
    static,
)
from referral.http.pages.errors import framework_response

__all__ = ["app_router", "framework_response", "router"]

router = Router(
    "",
    route_handlers=[
        *sign_in.HANDLERS,
        invitation.invitation,
        *reauthentication.HANDLERS,
        language.choose,
        *profile.HANDLERS,
        *account.HANDLERS,
        *phone.HANDLERS,
        *sessions.HANDLERS,
        *deletion.HANDLERS,
        invitees.invitees,
        rewards.rewards,
        data.download,
        admin.router,
        static.asset,
    ],
    guards=[forms.same_origin],
    middleware=[cookies.middleware],
    exception_handlers={**errors.HANDLERS, **authorize.EXCEPTION_HANDLERS},
    include_in_schema=False,
)

# Other sites send people here, also by forms. What these pages change is authorized by what the
# request carries, or by a form of our own, which has the guard
app_router = Router(
    "",
    route_handlers=[*authorize.HANDLERS, *logout.HANDLERS],
    middleware=[cookies.middleware],
    exception_handlers={**errors.HANDLERS, **authorize.EXCEPTION_HANDLERS},
)
