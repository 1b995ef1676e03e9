"""What the next page has to say: it comes after a redirect, which carries no words itself."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from referral.core.errors import InvalidRequest, Refusal, TooManyRequests, UnsupportedPhone
from referral.http import problems
from referral.http.pages import cookies, forms, parcel

CONFIRM = "/again"

_SECONDS = 60
_LONGEST_VALUE = 200


class Flash(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """code: of texts.py. path: of the page that says it. form, field: where it belongs there;
    without a form it is a notice.

    values: what was typed. seconds: until it can work. attempts_left: of a challenge.
    country: the one that is not served.
    """

    code: str
    path: str
    form: str = ""
    field: str = ""
    values: dict[str, str] = {}
    seconds: int | None = None
    attempts_left: int | None = None
    country: str = ""


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
            values={name: text[:_LONGEST_VALUE] for name, text in (values or {}).items()},
            seconds=refusal.retry_after,
            attempts_left=refusal.members.get("attempts_left"),
            country=refusal.country if isinstance(refusal, UnsupportedPhone) else "",
        ),
    )
    return to(path)


def confirm_first(request: Request[Any, Any, Any], refusal: Refusal, then: str) -> Redirect:
    """To a new code for this phone, and from there to a page."""
    problems.record(request, refusal)
    return to(forms.with_next(CONFIRM, then))


def not_again(request: Request[Any, Any, Any], path: str, refusal: Refusal) -> Redirect:
    """Back to the page of a code, where no other can be sent yet."""
    code = "too_soon" if isinstance(refusal, TooManyRequests) else None
    return refused(request, path, refusal, form="again", field="again", code=code)


def take(request: Request[Any, Any, Any]) -> Flash | None:
    """What is to be said on this page, once. What is for another waits for it."""
    said = parcel.read(cookies.get(request, cookies.FLASH), Flash)
    if said is None or said.path != request.scope["path"]:
        return None
    cookies.clear(request, cookies.FLASH)
    return said


def _path(location: str) -> str:
    return location.partition("?")[0]


def _put(request: Request[Any, Any, Any], flash: Flash) -> None:
    cookies.put(request, cookies.FLASH, parcel.write(flash), seconds=_SECONDS)
