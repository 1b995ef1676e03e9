"""Messages for the page after a redirect: notices and refused forms.

The response to every form is a redirect (303), so that neither Back nor Reload submits it again. A
cookie holds the message until its page is rendered.
"""

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

REAUTHENTICATION = "/again"

_SECONDS = 60
_LONGEST_VALUE = 1000  # characters
_MOST_BYTES = 2640  # of all values together, so that they fit into a cookie of 4 KB
_DRAFT_SECONDS = 900
_DRAFT = "draft"


class Flash(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message for one page, with what was typed into its form.

    code: a key of texts.NOTICES or texts.REFUSALS. path: the page's. form, field: the refused form
    and field; a notice has none. values: the typed text by field. seconds: until a retry can
    succeed. attempts_left: the challenge's. country: ISO code of the country that is not served.
    action: the path that the form was sent to. actor: the author of a draft, named as in the audit
    trail; nobody else may see it.
    """

    code: str
    path: str
    form: str = ""
    field: str = ""
    values: dict[str, str] = {}
    seconds: int | None = None
    attempts_left: int | None = None
    country: str = ""
    action: str = ""
    actor: str = ""


def redirect(path: str) -> Redirect:
    return Redirect(path, status_code=HTTP_303_SEE_OTHER)


def notice(request: Request[Any, Any, Any], path: str, code: str, **more: Any) -> Redirect:
    """Redirect to a page, and show a notice there."""
    _put(request, Flash(code=code, path=_without_query(path), **more))
    return redirect(path)


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
    """Redirect back to a form, and show there what was typed and why it was refused.

    code: a key of texts.REFUSALS, if the refusal's own code is too general for this form.
    """
    problems.log_refusal(request, refusal)
    if isinstance(refusal, InvalidRequest):
        named = [error["field"] for error in refusal.members.get("errors", ()) if error["field"]]
        field = named[0] if named else field
    own = f"invalid_{field}" if isinstance(refusal, InvalidRequest) else refusal.code
    _put(
        request,
        Flash(
            code=code or own,
            path=_without_query(path),
            form=form,
            field=field,
            values=_shorten(values or {}),
            seconds=refusal.retry_after,
            attempts_left=refusal.members.get("attempts_left"),
            country=refusal.country if isinstance(refusal, UnsupportedPhone) else "",
            action=request.scope["path"],
        ),
    )
    return redirect(path)


def resend_refused(
    request: Request[Any, Any, Any], path: str, refusal: Refusal, *, is_call: bool = False
) -> Redirect:
    """Redirect back to a page whose button for another code was refused.

    is_call: whether a call was asked for.
    """
    code = "too_soon" if isinstance(refusal, TooManyRequests) else None
    if is_call and isinstance(refusal, InvalidRequest):
        code = "no_call_yet"
    return refused(request, path, refusal, form="again", field="again", code=code)


def keep_draft(request: Request[Any, Any, Any]) -> str:
    """Keep the submitted form while its user signs in or reauthenticates.

    Return a URL of the form's page at which the typed text is filled in again. Nothing is submitted
    automatically, because somebody else may have signed in.
    """
    page, form = forms.page_of(request), forms.of(request)
    if form is None:
        return page
    fields = forms.submitted(request)
    draft = Flash(
        code="not_done",
        path=_without_query(page),
        form=form.name,
        values=_shorten({name: fields[name] for name in form.fields if name in fields}),
        action=request.scope["path"],
        actor=_actor(request),
    )
    key = tabs.key_of(cookie_value.encode(draft))
    tabs.keep(request, cookies.DRAFT, key, draft, seconds=_DRAFT_SECONDS)
    url = f"{page}{'&' if '?' in page else '?'}{_DRAFT}={key}"
    # If the page's query makes the URL too long to redirect to, keep the draft and drop the query
    return forms.local_path(url) or f"{_without_query(page)}?{_DRAFT}={key}"


def pending(request: Request[Any, Any, Any]) -> Flash | None:
    """Return the message of the last redirect to this page, which `take` will return."""
    flash = cookie_value.parse(cookies.get(request, cookies.FLASH), Flash)
    return flash if flash is not None and flash.path == request.scope["path"] else None


def take(request: Request[Any, Any, Any]) -> Flash | None:
    """Return the message for this page, and clear its cookie. A message for another page stays.

    A draft is not cleared: it is shown whenever its URL is opened, until it expires.
    """
    if flash := pending(request):
        cookies.clear(request, cookies.FLASH)
        return flash
    if (key := request.query_params.get(_DRAFT)) is None:
        return None
    draft = tabs.find(request, cookies.DRAFT, Flash, key=key)
    is_own = draft is not None and draft.actor in {"", _actor(request)}
    return draft if draft and draft.path == request.scope["path"] and is_own else None


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def _actor(request: Request[Any, Any, Any]) -> str:
    """Return the signed-in user as the audit trail names them; empty if nobody is signed in."""
    user = request.scope.get("user")
    if isinstance(user, Authenticated):
        return f"user:{user.user.id}"
    return user.name if isinstance(user, Actor) else ""


def _shorten(values: dict[str, str]) -> dict[str, str]:
    """Cut values to what fits into the cookie, without control characters."""
    kept, left = {}, _MOST_BYTES
    for name, text in values.items():
        shown = "".join(each for each in text[:_LONGEST_VALUE] if each >= " ")
        while len(msgspec.json.encode(shown)) > left and shown:
            shown = shown[: len(shown) // 2]
        kept[name] = shown
        left -= len(msgspec.json.encode(shown))
    return kept


def _put(request: Request[Any, Any, Any], flash: Flash) -> None:
    cookies.put(request, cookies.FLASH, cookie_value.encode(flash), seconds=_SECONDS)
