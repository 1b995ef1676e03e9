"""The look of the pages: previews in light and dark mode, and the settings behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from referral import i18n
from referral.core import colour
from referral.core import phone as phones
from referral.core.errors import NotFound
from referral.http.pages import (
    appearance,
    browser_session,
    errors,
    profile,
    render,
    sign_in,
    site,
    static,
)
from referral.http.pages.appearance import DARK, LIGHT, Preview
from referral.http.pages.pending_sign_in import PendingSignIn
from referral.http.pages.texts import N_
from referral.http.problems import InternalError, Problem
from referral.http.requests import AdminRequest, context
from referral.service.codes import SentCode

# A number that nobody has, and an inviter
_PHONE, _INVITER, _INVITE_CODE = "+12015550123", "Anna", "7KQ2MX"

Page = Annotated[str, QueryParameter()]
Language = Annotated[str, QueryParameter()]
Colors = Annotated[str, QueryParameter()]


# What the pairs of colour.pairs are for
_USES = {
    "links": N_("Links"),
    "main_buttons": N_("Main buttons"),
    "other_buttons": N_("Other buttons"),
    "bars": N_("Charts"),
}


@get("/look", include_in_schema=False)
async def look(request: AdminRequest, page: Page = "", language: Language = "") -> Response[str]:
    """Show a page in both modes, and the settings."""
    team = site.of(request.app.state)
    is_default_icon = team.favicon == static.favicon(team.palette)
    return render.page(
        request,
        "admin/look.html",
        frames=True,
        previews={name: label for name, (label, _) in _PREVIEWS.items()},
        shown=page if page in _PREVIEWS else next(iter(_PREVIEWS)),
        shown_language=_language(request, language).tag,
        files={
            "logo": team.logo,
            "logo_dark": team.logo_dark,
            "favicon": None if is_default_icon else team.favicon,
        },
        pairs={_USES[name]: modes for name, modes in colour.pairs(team.palette).items()},
    )


@get("/look/{name:str}", include_in_schema=False)
async def preview(
    request: AdminRequest, name: FromPath[str], language: Language = "", colors: Colors = LIGHT
) -> Response[str]:
    """Show a page with sample data, for a frame. Nothing in it does anything. Raises NotFound."""
    if name not in _PREVIEWS or colors not in {LIGHT, DARK}:
        raise NotFound(reason="no preview")
    appearance.show_as_preview(request, Preview(_language(request, language), colors))
    _, show = _PREVIEWS[name]
    return await show(request)


def _language(request: AdminRequest, given: str) -> i18n.Language:
    return site.of(request.app.state).languages.get(given) or render.language(request)


async def _sign_in(request: Any) -> Response[str]:
    return sign_in.page(request, context(request))


async def _code(request: Any) -> Response[str]:
    ctx = context(request)
    rules, region = ctx.channels.rules, phones.country(_PHONE)
    channel = rules.plan(region)[0]
    sent = SentCode(
        token="",
        phone=_PHONE,
        code_length=ctx.limits.code_length,
        expires_in=ctx.limits.code_life,
        resend_in=ctx.limits.resend_waits[0],
        channel=channel,
        other_channels=list(rules.others(region, channel)),
    )
    pending = PendingSignIn.of(sent, ctx=ctx)
    return sign_in.code_page(request, ctx, pending, path=sign_in.CODE, back=sign_in.HOME)


async def _invitation(request: Any) -> Response[str]:
    ctx = context(request)
    return sign_in.page(request, ctx, invite_code=_INVITE_CODE, inviter=_INVITER)


async def _profile(request: Any) -> Response[str]:
    """Show the administrator's own profile: no sample has as much to say."""
    request.scope["user"] = await browser_session.find(request)
    page: Response[str] = await profile.show.fn(request)
    return page


async def _error(request: Any) -> Response[str]:
    problem = Problem(type="", title="", status=200, detail="", code=InternalError.code)
    return errors.page(request, Response(problem))


_PREVIEWS: Mapping[str, tuple[str, Callable[[Any], Awaitable[Response[str]]]]] = {
    "sign-in": (N_("Sign in"), _sign_in),
    "code": (N_("Code"), _code),
    "invitation": (N_("Invitation"), _invitation),
    "profile": (N_("Profile"), _profile),
    "error": (N_("Error"), _error),
}

HANDLERS = [look, preview]
