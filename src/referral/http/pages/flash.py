"""What the next page has to say: it comes after a redirect, which carries no words itself."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from referral.context import Actor
from referral.core.errors import InvalidRequest, Refusal, TooManyRequests, UnsupportedPhone
from referral.http import problems
from referral.http.pages import cookie_value, cookies, forms, tabs
from referral.service.access import Authenticated

CONFIRM = "/again"

_SECONDS = 60
_LONGEST_VALUE = 330  # two of them, of four bytes a character, fit into a cookie of 4 KB
_DRAFT_SECONDS = 900
_DRAFT = "draft"


class Flash(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """code: of texts.py. path: of the page that says it. form, field: where it belongs there;
    without a form it is a notice.

    values: what was typed. seconds: until it can work. attempts_left: of a challenge.
    country: the one that is not served. who: as the audit trail names them; nobody else may see it.
    """

    code: str
    path: str
    form: str = ""
    field: str = ""
    values: dict[str, str] = {}
    seconds: int | None = None
    attempts_left: int | None = None
    country: str = ""
    who: str = ""


def to(path: str) -> Redirect:
    """Answer a form: the next page is got, so neither Back nor Reload sends the form again."""
    return Redirect(path, status_code=HTTP_303_SEE_OTHER)


def notice(request: Request[Any, Any, Any], path: str, code: str, **more: Any) -> Redirect:
    """Go on, and say there that something is done."""
    _put(request, Flash(code=code, path=_path(path), **more))
    return to(path)


def refused(
    request: Request[Any, Any, Any],
    path: str,
    refusal: Refusal,
    *,
    form: str,
    field: str,
    values: dict[str, str] | None = None,
    code: str | None = None,
) -> Redirect:
    """Back to a form, with what was typed and what is wrong with it.

    code: of texts.REFUSALS, where the refusal's own says too little of this form.
    """
    problems.record(request, refusal)
    if isinstance(refusal, InvalidRequest):
        named = [error["field"] for error in refusal.members.get("errors", ()) if error["field"]]
        field = named[0] if named else field
    own = f"invalid_{field}" if isinstance(refusal, InvalidRequest) else refusal.code
    _put(
        request,
        Flash(
            code=code or own,
            path=_path(path),
            form=form,
            field=field,
            values=_cut(values or {}),
            seconds=refusal.retry_after,
            attempts_left=refusal.members.get("attempts_left"),
            country=refusal.country if isinstance(refusal, UnsupportedPhone) else "",
        ),
    )
    return to(path)


def keep_draft(request: Request[Any, Any, Any]) -> str:
    """Keep what was typed into a form that something else has to come before.

    Answers the address that leads back to it: the page of the form, with all of it there again.
    Nothing is done by itself then: somebody else may have signed in.
    """
    page, form = forms.page_of(request), forms.of(request)
    if form is None:
        return page
    typed = forms.typed(request)
    draft = Flash(
        code="not_done",
        path=_path(page),
        form=form.name,
        field=request.path_params.get("action", ""),
        values=_cut({name: typed[name] for name in form.fields if name in typed}),
        who=_who(request),
    )
    key = tabs.key_of(cookie_value.write(draft))
    tabs.keep(request, cookies.DRAFT, key, draft, seconds=_DRAFT_SECONDS)
    whole = f"{page}{'&' if '?' in page else '?'}{_DRAFT}={key}"
    # A query that is too long to be led back to is not worth what was typed
    return forms.local_path(whole) or f"{_path(page)}?{_DRAFT}={key}"


def not_again(request: Request[Any, Any, Any], path: str, refusal: Refusal) -> Redirect:
    """Back to the page of a code, where no other can be sent yet."""
    code = "too_soon" if isinstance(refusal, TooManyRequests) else None
    return refused(request, path, refusal, form="again", field="again", code=code)


def take(request: Request[Any, Any, Any]) -> Flash | None:
    """What is to be said on this page, once. What is for another waits for it.

    A draft is there for as long as its address is.
    """
    path = request.scope["path"]
    said = cookie_value.read(cookies.get(request, cookies.FLASH), Flash)
    if said is not None and said.path == path:
        cookies.clear(request, cookies.FLASH)
        return said
    if (key := request.query_params.get(_DRAFT)) is None:
        return None
    draft = tabs.find(request, cookies.DRAFT, Flash, key=key)
    is_theirs = draft is not None and draft.who in {"", _who(request)}
    return draft if draft and draft.path == path and is_theirs else None


def _path(location: str) -> str:
    return location.partition("?")[0]


def _who(request: Request[Any, Any, Any]) -> str:
    """Empty if nobody is signed in, or not any more."""
    user = request.scope.get("user")
    if isinstance(user, Authenticated):
        return f"user:{user.user.id}"
    return user.name if isinstance(user, Actor) else ""


def _cut(values: dict[str, str]) -> dict[str, str]:
    """As much as the cookie has room for, without what nobody can type into a field."""
    return {
        name: "".join(each for each in text[:_LONGEST_VALUE] if each >= " ")
        for name, text in values.items()
    }


def _put(request: Request[Any, Any, Any], flash: Flash) -> None:
    cookies.put(request, cookies.FLASH, cookie_value.write(flash), seconds=_SECONDS)
