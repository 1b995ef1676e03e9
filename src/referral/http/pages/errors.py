"""Errors as pages, with the same statuses as in the API and messages for people.

If a page or form needs a sign-in or reauthentication first, that leads back to it afterwards, and
what was typed into the form is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from referral.core.errors import (
    AccountBlocked,
    InvalidRefreshToken,
    NotSignedIn,
    Refusal,
    SignInAgain,
    Unauthorized,
)
from referral.http import problems
from referral.http.pages import cookies, flash, forms, render, texts
from referral.http.problems import Problem

_COPIED_HEADERS = ("Cache-Control", "Retry-After", "Allow")
_WORTH_A_RETRY = frozenset({429, 500, 503})


def redirect_to_sign_in(request: Request[Any, Any, Any], refusal: Refusal) -> Redirect:
    """Redirect to the sign-in page, which leads back to this page or form."""
    problems.log_refusal(request, refusal)
    cookies.clear(request, cookies.ACCESS, cookies.REFRESH)
    if forms.of(request):
        url = forms.with_next("/", flash.keep_draft(request))
        return _no_store(flash.notice(request, url, "sign_in_to_do"))
    if isinstance(refusal, NotSignedIn) and request.scope["path"] == "/me":
        return _no_store(flash.redirect("/"))
    path = forms.local_path(forms.page_of(request)) or request.scope["path"]
    url = forms.with_next("/", path)
    return _no_store(flash.notice(request, url, "sign_in_first"))


def redirect_to_reauthentication(request: Request[Any, Any, Any], refusal: Refusal) -> Redirect:
    """Redirect to reauthentication, which leads back to this page or form."""
    problems.log_refusal(request, refusal)
    url = forms.with_next(flash.REAUTHENTICATION, flash.keep_draft(request))
    return _no_store(flash.redirect(url))


def framework_response(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[Problem] | Response[str]:
    """Respond to an error of the framework outside the pages, such as an unknown path.

    A browser gets a page. Other clients, and all clients of the API, get a problem document.
    """
    response = problems.framework_response(request, error)
    wants_page = "text/html" in request.headers.get("accept", "")
    if not wants_page or request.scope["path"].startswith("/api/"):
        return response
    return page(request, response)


def page(request: Request[Any, Any, Any], response: Response[Problem]) -> Response[str]:
    """Return a page that says what a problem document says."""
    problem: Problem = response.content
    seconds = response.headers.get("Retry-After")
    message = texts.refusal(
        problem.code,
        language=render.language(request),
        seconds=int(seconds) if seconds else None,
        attempts_left=None,
    )
    fields = forms.submitted(request) if problem.status in _WORTH_A_RETRY else {}
    made = render.page(
        request,
        "error.html",
        status=problem.status,
        message=message,
        action=forms.url_of(request) if fields else None,
        fields=fields,
        needs_support=problem.code in texts.NEEDS_SUPPORT,
    )
    copied = (name for name in _COPIED_HEADERS if name in response.headers)
    made.headers |= {name: response.headers[name] for name in copied}
    return made


def _no_store(redirect: Redirect) -> Redirect:
    # The framework adds this header to the responses of routes, but not to those of error handlers
    redirect.headers["Cache-Control"] = "no-store"
    return redirect


def _as_page(respond: Callable[..., Response[Problem]]) -> Callable[..., Response[str]]:
    """Turn a handler that responds with a problem into one that responds with a page."""

    def respond_with_page(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        if isinstance(error, AccountBlocked):
            cookies.clear(request, cookies.ACCESS, cookies.REFRESH)
        return page(request, respond(request, error))

    return respond_with_page


HANDLERS: dict[int | type[Exception], Callable[..., Response[Any]]] = {
    **{kind: _as_page(respond) for kind, respond in problems.HANDLERS.items()},
    Unauthorized: redirect_to_sign_in,
    InvalidRefreshToken: redirect_to_sign_in,
    SignInAgain: redirect_to_reauthentication,
}
