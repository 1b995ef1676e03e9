"""Refusals as pages: the same table as the API's, in words for people. No form is lost by one."""

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

_KEPT = ("Cache-Control", "Retry-After", "Allow")
_WORTH_A_RETRY = frozenset({429, 500, 503})


def to_sign_in(request: Request[Any, Any, Any], refusal: Refusal) -> Redirect:
    """To the sign-in page, and from there back."""
    problems.record(request, refusal)
    cookies.clear(request, cookies.ACCESS, cookies.REFRESH)
    if forms.of(request):
        where = forms.with_next("/", flash.keep_draft(request))
        return _unkept(flash.notice(request, where, "sign_in_to_do"))
    if isinstance(refusal, NotSignedIn) and request.scope["path"] == "/me":
        return _unkept(flash.to("/"))
    page = forms.local_path(forms.page_of(request)) or request.scope["path"]
    where = forms.with_next("/", page)
    return _unkept(flash.notice(request, where, "sign_in_first"))


def to_confirm(request: Request[Any, Any, Any], refusal: Refusal) -> Redirect:
    """To a new code for this phone, and from there back."""
    problems.record(request, refusal)
    return _unkept(flash.to(forms.with_next(flash.CONFIRM, flash.keep_draft(request))))


def answer_anywhere(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[Problem] | Response[str]:
    """What the framework refuses outside the pages: as a page to people who look for one."""
    answer = problems.answer_framework(request, error)
    wants_page = "text/html" in request.headers.get("accept", "")
    if not wants_page or request.scope["path"].startswith("/api/"):
        return answer
    return _page(request, answer)


def _unkept(redirect: Redirect) -> Redirect:
    # What a route answers by itself has it from the application
    redirect.headers["Cache-Control"] = "no-store"
    return redirect


def _as_page(answer: Callable[..., Response[Problem]]) -> Callable[..., Response[str]]:
    def with_page(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        if isinstance(error, AccountBlocked):
            cookies.clear(request, cookies.ACCESS, cookies.REFRESH)
        return _page(request, answer(request, error))

    return with_page


def _page(request: Request[Any, Any, Any], answer: Response[Problem]) -> Response[str]:
    problem: Problem = answer.content
    seconds = answer.headers.get("Retry-After")
    words = texts.refusal(
        problem.code,
        language=render.language(request),
        seconds=int(seconds) if seconds else None,
        attempts_left=None,
    )
    again = forms.typed(request) if problem.status in _WORTH_A_RETRY else {}
    page = render.page(
        request,
        "error.html",
        status=problem.status,
        words=words,
        action=render.path(request) if again else None,
        fields=again,
    )
    page.headers |= {name: answer.headers[name] for name in _KEPT if name in answer.headers}
    return page


HANDLERS: dict[int | type[Exception], Callable[..., Response[Any]]] = {
    **{kind: _as_page(answer) for kind, answer in problems.HANDLERS.items()},
    Unauthorized: to_sign_in,
    InvalidRefreshToken: to_sign_in,
    SignInAgain: to_confirm,
}
